# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Rush: its root has no package.json, rush.json says everything."""

from __future__ import annotations

from ..findings import Candidate, Finding
from ..parsers import at, json_line, json_object, word
from ..tree import Folder
from ..versions import candidate
from .common import shared_versions
from .node_workspaces import members

_RUSH = "rush.json"


def scan(folder: Folder) -> Finding:
    """The monorepo that the rush.json in `folder` describes."""
    data = json_object(folder, _RUSH, comments=True)
    text = folder.text(_RUSH) or ""
    finding = Finding("node", folder.path, 78, at(folder, _RUSH), _RUSH)
    finding.members = members(folder, {})
    finding.versions = shared_versions(folder, "node", ".nvmrc", ".node-version")
    wanted = word(data.get("nodeSupportedVersionRange"))
    if wanted:
        source = at(folder, _RUSH, json_line(text, "nodeSupportedVersionRange"))
        finding.versions += candidate(wanted, "node", source, plain_is_range=True, confidence=0.9)
    for manager in ("pnpm", "yarn", "npm"):
        version = word(data.get(f"{manager}Version"))
        if version:
            source = at(folder, _RUSH, json_line(text, f"{manager}Version"))
            finding.managers.append(Candidate(manager, source, confidence=0.97, raw=f"{manager}@{version}"))
            finding.manager_versions.append(Candidate(version, source, confidence=0.95))
    finding.setup += [
        Candidate(command, at(folder, _RUSH, json_line(text, "rushVersion")), confidence=0.9)
        for command in (
            f"sudo npm install --global @microsoft/rush@{word(data.get('rushVersion')) or 'latest'}",
            "rush install",
        )
    ]
    return finding
