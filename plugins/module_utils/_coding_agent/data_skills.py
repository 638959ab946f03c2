# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Which skill belongs to which detected platform. Only data: a skill is a folder of `skills/` and a line here."""

from __future__ import annotations

from typing import Dict, Tuple

#: From this confidence on a platform's skill is installed; the platforms of one skill are alternatives.
THRESHOLD = 0.7

SKILLS: Dict[str, Tuple[str, ...]] = {
    "flyio": ("fly.io",),
    "kubernetes": ("kubernetes", "kustomize"),
    "helm": ("helm",),
}
