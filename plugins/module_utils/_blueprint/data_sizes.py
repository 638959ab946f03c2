# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a machine for one runtime needs: CPUs, memory in GiB, disk in GB. Only data."""

from __future__ import annotations

from typing import Dict, Tuple

SIZES: Dict[str, Tuple[int, int, int]] = {
    "default": (2, 4, 20),
    "node": (2, 4, 20),
    "java": (2, 8, 30),
    "scala": (2, 8, 30),
    "clojure": (2, 8, 30),
    "dotnet": (2, 8, 30),
    "rust": (2, 8, 40),
    "cpp": (2, 8, 30),
    "haskell": (2, 8, 40),
    "swift": (2, 8, 30),
    "crystal": (2, 4, 20),
    "static": (2, 4, 20),
}
