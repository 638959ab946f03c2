# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Everything on an engine that carries our label, by environment."""

from __future__ import annotations

from typing import Any, Dict, List

from .._docker import Docker
from .._identity import TAG_ENVIRONMENT, TAG_MANAGED, TAG_OWNER
from ._absent import TAG_REPOSITORY
from ._spec import LABEL_ROLE


def audit(docker: Docker) -> List[Dict[str, Any]]:
    """[{environment_id, owner, resources: [{kind, name, state}]}] sorted by id; image tags are found by their name."""
    found: Dict[str, Dict[str, Any]] = {}

    def add(environment_id: str, owner: str, kind: str, name: str, state: str) -> None:
        one = found.setdefault(environment_id, {"environment_id": environment_id, "owner": "", "resources": []})
        one["owner"] = one["owner"] or owner
        one["resources"].append({"kind": kind, "name": name, "state": state})

    wanted = ["--filter", f"label={TAG_MANAGED}", "--format"]
    owner = f'{{{{.Label "{TAG_ENVIRONMENT}"}}}}\t{{{{.Label "{TAG_OWNER}"}}}}\t'
    containers = docker.call(
        ["ps", "--all", *wanted, owner + f'{{{{.Label "{LABEL_ROLE}"}}}}\t{{{{.Names}}}}\t{{{{.State}}}}'], timeout=60
    )
    for fields in _rows(containers.text, 5):
        add(fields[0], fields[1], "watchdog" if fields[2] == "watchdog" else "container", fields[3], fields[4])
    for kind in ("volume", "network"):
        listed = docker.call([kind, "ls", *wanted, owner + "{{.Name}}"], timeout=60)
        for fields in _rows(listed.text, 3):
            add(fields[0], fields[1], kind, fields[2], "present")
    for tag in docker.call(["images", "--format", "{{.Tag}}", TAG_REPOSITORY], timeout=60).text.split():
        add(tag.rpartition("-")[0].upper(), "", "image_tag", f"{TAG_REPOSITORY}:{tag}", "present")
    return [found[key] for key in sorted(found)]


def _rows(text: str, width: int) -> List[List[str]]:
    return [row for row in (line.split("\t") for line in text.splitlines()) if len(row) == width]
