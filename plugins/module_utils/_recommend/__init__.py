# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Where a repository is best hosted: scores with their reasons, from what is in it and a few answers.

`_facts` reads the repository, `data_rules` has everything that is an opinion, `_engine` adds up and is pure.
"""

from __future__ import annotations

from ._engine import Recommendation, recommend
from ._facts import Facts, read
from .data_rules import QUESTIONS

__all__ = ["QUESTIONS", "Facts", "Recommendation", "read", "recommend"]
