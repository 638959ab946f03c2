# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Everything on an engine that carries our label, by environment."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from .._docker import Docker
from .._identity import TAG_ENVIRONMENT, TAG_MANAGED, TAG_OWNER
from ._absent import TAG_REPOSITORY
from ._spec import LABEL_HOME, LABEL_ROLE, LABEL_USER, LABEL_WORKSPACE

#: States of a container that has run: there may be work in it.
_ENTERED = ("running", "exited", "paused", "restarting")


def audit(docker: Docker, environment_id: Optional[str] = None) -> List[Dict[str, Any]]:
    """[{environment_id, owner, login, resources: [{kind, name, state}]}] sorted by id, of all or of one environment.

    `login` is {container, user, home, workspace, running} of an environment that ever ran, else None. Image tags cannot
    carry a label of their own: they are found by name.
    """
    found: Dict[str, Dict[str, Any]] = {}

    def of(one_id: str, owner: str = "") -> Dict[str, Any]:
        empty: Dict[str, Any] = {"environment_id": one_id, "owner": "", "login": None, "resources": []}
        one = found.setdefault(one_id, empty)
        one["owner"] = one["owner"] or owner
        return one

    def add(one: Dict[str, Any], kind: str, name: str, state: str) -> None:
        one["resources"].append({"kind": kind, "name": name, "state": state})

    label = TAG_MANAGED if environment_id is None else f"{TAG_ENVIRONMENT}={environment_id}"
    wanted = ["--filter", f"label={label}", "--format"]
    owned = [_label(TAG_ENVIRONMENT), _label(TAG_OWNER)]
    login = [_label(name) for name in (LABEL_ROLE, LABEL_USER, LABEL_HOME, LABEL_WORKSPACE)]
    listed = docker.call(["ps", "--all", *wanted, "\t".join([*owned, *login, "{{.Names}}", "{{.State}}"])], timeout=60)
    for one_id, owner, role, user, home, workspace, name, state in _rows(listed.stdout, 8):
        one = of(one_id, owner)
        add(one, "watchdog" if role == "watchdog" else "container", name, state)
        if role == "environment" and state in _ENTERED:
            login_of = {"container": name, "user": user, "home": home, "workspace": workspace}
            one["login"] = {**login_of, "running": state == "running"}
    for kind in ("volume", "network"):
        listed = docker.call([kind, "ls", *wanted, "\t".join([*owned, "{{.Name}}"])], timeout=60)
        for one_id, owner, name in _rows(listed.stdout, 3):
            add(of(one_id, owner), kind, name, "present")
    for tag in docker.call(["images", "--format", "{{.Tag}}", TAG_REPOSITORY], timeout=60).text.split():
        one_id = tag.rpartition("-")[0].upper()
        if environment_id in (None, one_id):
            add(of(one_id), "image_tag", f"{TAG_REPOSITORY}:{tag}", "present")
    return [found[key] for key in sorted(found)]


def _label(name: str) -> str:
    return f'{{{{.Label "{name}"}}}}'


def _rows(answer: bytes, width: int) -> List[List[str]]:
    rows = [line.split("\t") for line in answer.decode("utf-8", "replace").splitlines()]
    return [row for row in rows if len(row) == width]
