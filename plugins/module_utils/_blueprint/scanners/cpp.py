# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

from __future__ import annotations

from typing import Optional

from ..findings import Finding
from ..tree import Folder


def scan(folder: Folder) -> Optional[Finding]:
    return None
