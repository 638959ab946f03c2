# SPDX-License-Identifier: GPL-3.0-or-later
"""fuelctl: from a repository to a disposable machine with a coding agent on it."""

from __future__ import annotations

__version__ = "0.1.0"
