# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Pages without a runtime of their own: plain HTML, and generators that are a single program."""

from __future__ import annotations

import re
from typing import Optional

from ..findings import DEFAULT, Candidate, Finding
from ..parsers import at
from ..tree import Folder

#: File -> (what it shows of a generator, name, port, package).
_GENERATORS = (
    ("hugo.toml", "", "hugo", 1313, "hugo"),
    ("hugo.yaml", "", "hugo", 1313, "hugo"),
    ("config.toml", r"^[ \t]*(?:baseURL|languageCode|theme)\s*=", "hugo", 1313, "hugo"),
    ("config.toml", r"^[ \t]*base_url\s*=", "zola", 1111, ""),
    ("book.toml", r"^\[book\]", "mdbook", 3000, ""),
)


def scan(folder: Folder) -> Optional[Finding]:
    """The static site in `folder`."""
    for name, pattern, generator, port, package in _GENERATORS:
        if folder.has(name) and (not pattern or re.search(pattern, folder.text(name) or "", re.MULTILINE)):
            finding = Finding("static", folder.path, 40, at(folder, name), f"{generator} site")
            finding.framework = generator
            finding.default_ports.append(Candidate([port], "default", DEFAULT, 0.6, note=f"port of {generator}"))
            if package:
                finding.packages.append(Candidate(package, at(folder, name), note=f"{generator} builds the site"))
            return finding
    pages = folder.ending(".html")
    if not pages:
        return None
    page = "index.html" if "index.html" in pages else pages[0]
    return Finding("static", folder.path, 30 if page == "index.html" else 12, at(folder, page), "HTML pages")
