# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What each family of runtimes adds to the templates' variables: `survey(repository, meta, context)` of each module."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Callable, Dict

from ..repository import Repository

Survey = Callable[[Repository, Dict[str, Any], Dict[str, Any]], None]


def survey(family: str) -> Survey:
    """The function that looks a repository of this family over; only the one that is needed is imported."""
    found: Survey = import_module(f"{__name__}.{family}").survey
    return found
