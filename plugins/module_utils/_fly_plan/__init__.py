# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Plans of deployments to Fly.io: what to run, in which order, with which checks between, and how to get back.

Pure but for reading the project's files: nothing is run, nothing is asked for, no value of a secret is ever read.
"""

from __future__ import annotations

from ._plan import ENVIRONMENTS, Plan, plan
from .data_strategies import STRATEGIES

__all__ = ["ENVIRONMENTS", "STRATEGIES", "Plan", "plan"]
