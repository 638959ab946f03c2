# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Arguments and work of the module `machine_record`."""

from __future__ import annotations

import time
from typing import Any, Dict, List, Mapping, Optional

from .._dev_container._lock import only_one
from .._errors import FuelError
from .._identity import check_environment_id
from .._receipt import GONE, PRESENT, entry
from . import _compare, _record, _restore
from ._look import Parts, look

ARGUMENTS: Dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent", "query"], "default": "present"},
    "environment_id": {"type": "str", "required": True},
    "images": {"type": "list", "elements": "str", "default": []},
    "name": {"type": "str", "default": ""},
}
#: An environment of which nothing is on the engine yet is being made, for so long. Seconds.
_BEING_MADE = 3600.0
_LOCK = "machine-record"


def machine_record(params: Mapping[str, Any], *, check: bool, parts: Optional[Parts] = None) -> Dict[str, Any]:
    """The module's result with `params` as in ARGUMENTS; FuelError becomes a failed one."""
    parts = parts or Parts()
    try:
        environment_id = check_environment_id(params["environment_id"])
        if params["state"] == "query":
            return {"changed": False, "engine": look(parts)["engine"]["running"]}
        if params["state"] == "present":
            return _present(environment_id, params["images"], parts, check=check)
        return _absent(environment_id, params["name"], parts, check=check)
    except FuelError as error:
        return error.as_result()
    except OSError as error:
        told = FuelError(
            f"the machine's record cannot be kept: {error.strerror or error}",
            where=str(error.filename or _record.FOLDER),
            hint="see that the disk is not full, and that sudo is allowed",
            code="record_unwritable",
        )
        return told.as_result()


def _present(environment_id: str, images: List[str], parts: Parts, *, check: bool) -> Dict[str, Any]:
    """Look before anything is changed, once; then add this environment to those that are there."""
    known = _record.read(parts)
    if check:
        return {"changed": known is None or environment_id not in known.environments}
    # Before the lock: its folder is a trace too.
    found = look(parts) if known is None else known.found
    with only_one(_LOCK):
        known = _record.read(parts) or _record.Record(found)
        changed = environment_id not in known.environments or not set(images) <= set(known.images)
        known.environments[environment_id] = time.time()
        known.images = sorted({*known.images, *images})
        _record.write(parts, known)
    return {"changed": changed, "found": known.found, "environments": sorted(known.environments)}


def _absent(environment_id: str, name: str, parts: Parts, *, check: bool) -> Dict[str, Any]:
    """This environment has gone; with the last one, everything goes that came by them."""
    known = _record.read(parts)
    if known is None and not check:
        _record.forget(parts)
    if known is None or check:
        done = [entry("machine", name, GONE, "nothing of it is on record there")]
        return {"changed": known is not None, "resources": [] if check else done, "difference": [], "foreign": []}
    with only_one(_LOCK):
        known = _record.read(parts) or known
        known.environments.pop(environment_id, None)
        there = _restore.other_environments(parts, environment_id)
        being_made = {each for each, at in known.environments.items() if time.time() - at < _BEING_MADE}
        others = sorted(there | being_made)
        if others:
            _record.write(parts, known)
            detail = f"{len(others)} other environment{'s are' if len(others) > 1 else ' is'} still there"
            return {
                "changed": True,
                "resources": [entry("machine", name, GONE, detail)],
                "difference": [],
                "foreign": [],
            }
        ours, kept = _take_away(parts, known)
        installed = not known.found["engine"]["client"] and not kept
    _restore.restore_paths(parts, known.found, engine=installed)
    told = _compare.compare(known.found, _without_ours(look(parts), known), ours, installed=installed)
    if kept:
        told = _compare.Difference([], [*told.left, *told.foreign])
    if not told.left:
        # Last of all: until then, a repeat knows what was found.
        _record.forget(parts)
    detail = kept or ("as it was found" if not told.left else "; ".join(told.left)[:1000])
    state = PRESENT if told.left else GONE
    return {
        "changed": True,
        "resources": [entry("machine", name, state, detail)],
        "difference": told.left,
        "foreign": told.foreign,
    }


def _take_away(parts: Parts, known: _record.Record) -> "tuple[_compare.Ours, str]":
    """(what was ours, why the engine stays or nothing). A run that was killed may have got anywhere in here."""
    found, engine = known.found, look(parts)["engine"]
    ours = _compare.Ours()
    if engine["running"]:
        ours = _restore.ours_on_engine(parts, known.images, found)
        _restore.clear_engine(parts, ours)
        ours = _restore.without_used(parts, ours)
    if found["engine"]["client"]:
        if found["engine"]["running"] and not engine["running"]:
            raise FuelError(
                "the Docker engine that was found running does not answer",
                hint="start it (systemctl start docker), then repeat it",
                code="docker_unavailable",
            )
        _restore.settle_engine(parts, found)
        return ours, ""
    strangers = _restore.strangers(parts, ours) if engine["running"] else []
    if strangers:
        return ours, _restore.kept(strangers)
    gone, needed = _restore.remove_engine(parts, found)
    if needed:
        return ours, _restore.kept(needed)
    return _compare.Ours(gone, ours.images, ours.volumes, ours.networks, ours.containers), ""


def _without_ours(now: Dict[str, Any], known: _record.Record) -> Dict[str, Any]:
    """The look as it will be when the record itself is gone."""
    return {**now, "paths": {**now["paths"], _record.FOLDER: known.found["paths"].get(_record.FOLDER)}}
