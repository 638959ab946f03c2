# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Everything on an engine that carries our label, by environment."""

from __future__ import annotations

import calendar
import re
import time
from typing import Any, Dict, List, Optional

from .._docker import Docker
from .._identity import TAG_ENVIRONMENT, TAG_MANAGED, TAG_OWNER
from ._absent import TAG_REPOSITORY
from ._spec import LABEL_HOME, LABEL_ROLE, LABEL_USER, LABEL_WORKSPACE

#: States of a container that has run: there may be work in it.
_ENTERED = ("running", "exited", "paused", "restarting")
#: How `docker inspect` calls our kinds; an image's tag is younger than the image.
_INSPECTED = {"container": "container", "watchdog": "container", "volume": "volume", "network": "network"}
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|([+-])(\d\d):(\d\d))")


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


def describe(docker: Docker, found: List[Dict[str, Any]]) -> None:
    """Add to each what only a look at every thing tells: `name`, and `since`, when the oldest of it was made.

    Epoch seconds; None when it went away meanwhile.
    """
    made: Dict[str, Dict[str, Dict[str, Any]]] = {}
    for kind in ("container", "volume", "network", "image"):
        names = [
            line["name"] for one in found for line in one["resources"] if _INSPECTED.get(line["kind"], "image") == kind
        ]
        listed = docker.inspect(names, kind=kind)
        if kind == "image":
            made[kind] = {tag: each for each in listed for tag in each.get("RepoTags") or ()}
        else:
            made[kind] = {str(each.get("Name", "")).lstrip("/"): each for each in listed}
    for one in found:
        times: List[float] = []
        one["name"] = ""
        for line in one["resources"]:
            kind = _INSPECTED.get(line["kind"], "image")
            each = made[kind].get(line["name"], {})
            text = (each.get("Metadata") or {}).get("LastTagTime") if kind == "image" else _created(each)
            at = moment(str(text or ""))
            times += [] if at is None else [at]
            config = each.get("Config") or {}
            if kind == "container" and (config.get("Labels") or {}).get(LABEL_ROLE) == "environment":
                one["name"] = str(config.get("Hostname") or "")
        one["since"] = min(times) if times else None


def _created(each: Dict[str, Any]) -> Any:
    """Containers and networks call it otherwise than volumes."""
    return each.get("Created") or each.get("CreatedAt")


def moment(text: str) -> Optional[float]:
    """Epoch seconds of a time as the engine writes it (RFC 3339, nanoseconds and offset included); None for none."""
    parts = _TIME.fullmatch(text)
    if parts is None:
        return None
    seconds = calendar.timegm(time.strptime(parts.group(1), "%Y-%m-%dT%H:%M:%S"))
    offset = 0
    if parts.group(2):
        offset = (int(parts.group(3)) * 60 + int(parts.group(4))) * (60 if parts.group(2) == "+" else -60)
    return float(seconds - offset)


def _label(name: str) -> str:
    return f'{{{{.Label "{name}"}}}}'


def _rows(answer: bytes, width: int) -> List[List[str]]:
    rows = [line.split("\t") for line in answer.decode("utf-8", "replace").splitlines()]
    return [row for row in rows if len(row) == width]
