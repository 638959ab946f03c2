# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One machine of a name in an app: made once, changed under its lease, ended with proof.

Fly.io lets no two machines of an app have the same name. So the name is the journal: a create that is made again,
because its answer was lost or whoever asked was killed, is refused with the id of the machine that there is.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Set, Tuple

from .._errors import FuelError, UsageError
from .._receipt import GONE, PRESENT, entry
from . import _app, _events, _lease, _tags
from ._api import Api, ApiError, place
from ._refusals import explain, is_name_violation

_NAME = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9])?")
_ID = re.compile(r"machine ID ([0-9A-Za-z_-]+)")
#: States that a machine is asked into: the call.
CALLS: Dict[str, str] = {"started": "start", "stopped": "stop", "suspended": "suspend"}
PASSING = frozenset(
    "created creating starting stopping suspending updating replacing restarting launch_failed destroying".split()
)
ENDED = frozenset({"destroying", "destroyed"})
#: What is waited for while a machine is on its way elsewhere, or has to go there first.
NEXT = {"stopping": "stopped", "suspending": "suspended", "started": "started"}
#: Seconds for which one call to `wait` waits.
LOOK = 10
#: Seconds. Fly.io takes one call a second of each kind, in bursts of three.
INTERVAL = 1.0


@dataclass
class Plan:
    """A machine as it should be. `config` as the API takes it, without metadata; None leaves that which it has."""

    app: str
    name: str
    region: str = ""
    config: Optional[Dict[str, Any]] = None
    metadata: Dict[str, str] = field(default_factory=dict)
    #: `started`, `stopped`, `suspended`; empty leaves it as it is.
    state: str = "started"
    #: Organization of the app, by which an app that is gone is told from one that the token does not see.
    org: str = "personal"

    def made_from(self) -> str:
        """Digest of the configuration, by which a repeat knows whether it asks for something else."""
        return hashlib.sha256(json.dumps(self.config, sort_keys=True).encode("utf-8")).hexdigest()[:32]

    def marks(self) -> Dict[str, str]:
        return {**self.metadata, _tags.MADE_FROM: self.made_from()}

    @property
    def where(self) -> str:
        return f"{self.app}/{self.name}"


@dataclass
class Result:
    """The machine, what was done to it, and how it was before and after (for a diff)."""

    machine: Optional[Dict[str, Any]]
    done: List[str]
    before: Dict[str, Any]
    after: Dict[str, Any]


def _silent(_message: str) -> None:
    """Nobody follows."""


@dataclass
class Waiting:
    """Seconds to wait for a state, and for somebody else's lease."""

    timeout: float = 120.0
    lease: float = 3.0 * _lease.TTL
    tell: Callable[[str], None] = _silent


def check_name(name: str) -> str:
    """The name unchanged; UsageError for one that Fly.io does not take."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} cannot name a machine", hint="use 1 to 63 letters, digits, hyphens")
    return name


def find(api: Api, app: str, name: str) -> Optional[Dict[str, Any]]:
    """The machine of this name that is not destroyed."""
    for each in api.listed(place("apps", app, "machines")):
        if each.get("name") == name and each.get("state") != "destroyed":
            return each
    return None


def ensure(api: Api, plan: Plan, waiting: Waiting, *, check: bool = False) -> Result:
    """Have the machine as planned and in its state; FuelError when that cannot be, or not in time."""
    check_name(plan.name)
    try:
        return _ensure(api, plan, waiting, check=check)
    except ApiError as error:
        raise explain(error, plan.where) from error


def _ensure(api: Api, plan: Plan, waiting: Waiting, *, check: bool) -> Result:
    done: List[str] = []
    found = find(api, plan.app, plan.name)
    if found is not None and found.get("state") == "destroying":
        if not check:
            _await(api, plan, found, "destroyed", waiting)
        found = None
    before = summary(found)
    if found is None:
        if plan.config is None:
            raise FuelError("there is no such machine", hint="name an image", where=plan.where, code="fly_missing")
        planned: Dict[str, Any] = {"state": plan.state or "created", "region": plan.region}
        planned.update(config=plan.config, metadata=plan.metadata)
        if check:
            return Result(None, ["create"], before, planned)
        waiting.tell("create")
        found = _create(api, plan)
        done.append("create")
    _check_owner(found, plan)
    _check_region(found, plan)
    changes = _changes(found, plan)
    if check:
        moves = (
            [CALLS[plan.state]] if plan.state and found.get("state") not in (plan.state, _towards(plan.state)) else []
        )
        after = {**before, "config": plan.config if "update" in changes else before["config"]}
        after.update(state=plan.state or before["state"], metadata={**before["metadata"], **plan.metadata})
        return Result(found, changes + moves, before, after)
    ended_before = ""
    if changes == ["update"]:
        waiting.tell("update")
        found, ended_before = _update(api, plan, found, waiting)
        done.append("update")
    elif changes:
        _mark(api, plan, found, waiting)
        done.append("metadata")
    if plan.state:
        found = _settle(api, plan, found, waiting, done, ended_before=ended_before)
    shown = api.call("GET", _path(plan, found))
    return Result(shown, done, before, summary(shown))


def _path(plan: Plan, machine: Mapping[str, Any], *more: str) -> str:
    return place("apps", plan.app, "machines", str(machine["id"]), *more)


def _version(machine: Mapping[str, Any]) -> str:
    """The version, which the API called instance before."""
    return str(machine.get("version") or machine.get("instance_id") or "")


def summary(machine: Optional[Mapping[str, Any]]) -> Dict[str, Any]:
    """What of a machine a diff shows."""
    if machine is None:
        return {"state": "absent", "region": "", "config": {}, "metadata": {}}
    config = {key: value for key, value in (machine.get("config") or {}).items() if key != "metadata" and value}
    return {
        "state": str(machine.get("state") or ""),
        "region": str(machine.get("region") or ""),
        "config": config,
        "metadata": _tags.of(machine),
    }


def _check_owner(machine: Mapping[str, Any], plan: Plan) -> None:
    """FuelError when the name belongs to a machine of another environment, or to nobody's that we know."""
    wanted, found = plan.metadata.get(_tags.ENVIRONMENT), _tags.of(machine).get(_tags.ENVIRONMENT)
    if wanted and wanted != found:
        raise FuelError(
            f"a machine of that name is there, and belongs to {found or 'nobody that we know'}",
            hint="choose another name, or destroy it yourself: it was not touched",
            where=plan.where,
            code="fly_foreign",
        )


def _check_region(machine: Mapping[str, Any], plan: Plan) -> None:
    there = machine.get("region")
    if plan.region and there and plan.region != there:
        raise FuelError(
            f"the machine is in {there}, and machines do not move",
            hint=f"use that region, or destroy it and make one in {plan.region}",
            where=plan.where,
            code="fly_other_region",
        )


def _changes(machine: Mapping[str, Any], plan: Plan) -> List[str]:
    marks = _tags.of(machine)
    if plan.config is not None and marks.get(_tags.MADE_FROM) != plan.made_from():
        return ["update"]
    return ["metadata"] if any(marks.get(key) != value for key, value in plan.metadata.items()) else []


def _create(api: Api, plan: Plan) -> Dict[str, Any]:
    body: Dict[str, Any] = {"name": plan.name, "config": {**(plan.config or {}), "metadata": plan.marks()}}
    if plan.region:
        body["region"] = plan.region
    if plan.state in ("stopped", ""):
        body["skip_launch"] = True
    try:
        made: Optional[Dict[str, Any]] = api.call("POST", place("apps", plan.app, "machines"), body)
    except ApiError as error:
        if not is_name_violation(error):
            raise
        named = _ID.search(error.message)
        made = api.find(place("apps", plan.app, "machines", named.group(1))) if named else None
    if made is None or made.get("state") in ENDED:
        made = find(api, plan.app, plan.name)
    if made is None:
        raise FuelError(
            "Fly.io made the machine and does not show it",
            hint="run again: it finds what there is",
            where=plan.where,
            code="fly_broken",
        )
    return made


def _update(api: Api, plan: Plan, machine: Mapping[str, Any], waiting: Waiting) -> "Tuple[Dict[str, Any], str]":
    """The machine, and the event by which it had ended before this update."""
    with _lease.held(api, plan.app, str(machine["id"]), "update", waiting.lease) as nonce:
        # Another run may have made it so while this one waited for the lease.
        now = api.call("GET", _path(plan, machine))
        if _changes(now, plan) != ["update"]:
            return dict(now), _events.last_exit(now)[0]
        # What is not said anew stays as it was marked, by whomever.
        metadata = {**_tags.of(now), **plan.marks()}
        body: Dict[str, Any] = {"name": plan.name, "config": {**(plan.config or {}), "metadata": metadata}}
        if plan.state in ("stopped", ""):
            body["skip_launch"] = True
        answer = api.call("POST", _path(plan, machine), body, nonce=nonce)
    return dict(answer or now), _events.last_exit(now)[0]


def _mark(api: Api, plan: Plan, machine: Mapping[str, Any], waiting: Waiting) -> None:
    marks = _tags.of(machine)
    with _lease.held(api, plan.app, str(machine["id"]), "metadata", waiting.lease) as nonce:
        # One call for all, which leaves other keys as they are: of each kind there is one a second.
        missing = {key: value for key, value in plan.metadata.items() if marks.get(key) != value}
        api.call("PATCH", _path(plan, machine, "metadata"), {"metadata": missing}, nonce=nonce)


def _towards(state: str) -> str:
    """The state on the way to this one."""
    return {"started": "starting", "stopped": "stopping", "suspended": "suspending"}[state]


def _settle(
    api: Api, plan: Plan, machine: Dict[str, Any], waiting: Waiting, done: List[str], *, ended_before: str
) -> Dict[str, Any]:
    """Into the planned state: asked for where it is not under way, then waited for.

    A machine that was told to start and has ended is not started again: what is meant to run once would run twice.

    :param ended_before: the event by which it had ended before it was updated, which says nothing of how that went.
    """
    begun = api.clock()
    told = "create" in done or "update" in done
    exits: Set[str] = set()
    while True:
        machine = api.call("GET", _path(plan, machine))
        state = str(machine.get("state") or "")
        if state == plan.state:
            return machine
        if not told:
            ended_before = _events.last_exit(machine)[0]
        if state in ENDED:
            raise _ended(plan, machine)
        over = False
        if plan.state == "started" and state in ("stopped", "failed") and told:
            event, code = _events.last_exit(machine)
            over = event not in ("", ended_before)
            exits |= {event} if over else set()
            # Fly.io's own restarts, which its policy asks for, come between.
            if state == "failed" or (over and (len(exits) > 2 or not _events.restarts(machine, code))):
                raise _ended(plan, machine)
        if api.clock() - begun > waiting.timeout:
            raise _too_late(plan, machine, waiting)
        # A machine made without a launch stays `created`: stopped is what it is.
        if plan.state == "stopped" and state == "created":
            return machine
        if not over and (state not in PASSING or (state == "created" and "create" not in done)):
            # Only what runs can be suspended.
            idle = plan.state == "suspended" and state != "started"
            call = "start" if idle else CALLS[plan.state]
            waiting.tell(call)
            if _ask(api, plan, machine, waiting, call):
                done.append(call)
                told = told or call == "start"
            state = "started" if idle else plan.state
        _look(api, plan, machine, NEXT.get(state, plan.state), waiting.timeout - (api.clock() - begun))


def _ask(api: Api, plan: Plan, machine: Mapping[str, Any], waiting: Waiting, call: str) -> bool:
    """Make the call; False when the machine was in a state by then that does not allow it, as the next look shows."""
    with _lease.held(api, plan.app, str(machine["id"]), call, waiting.lease) as nonce:
        try:
            api.call("POST", _path(plan, machine, call), {} if call == "stop" else None, nonce=nonce)
        except ApiError as error:
            if error.status not in (409, 412):
                raise
            return False
    return True


def _look(api: Api, plan: Plan, machine: Mapping[str, Any], state: str, left: float) -> None:
    """Wait a little for the state, by Fly.io's own call for it."""
    seconds = max(1, min(LOOK, int(left)))
    query = {"state": state, "timeout": seconds, "version": _version(machine)}
    begun = api.clock()
    try:
        api.call("GET", _path(plan, machine, "wait"), query=query, longer=seconds)
    except ApiError as error:
        # Not in time, another version by now, or gone: the next look says which.
        if error.status not in (400, 404, 408, 412):
            raise
        if api.clock() - begun < INTERVAL:
            api.sleep(INTERVAL)


def _await(api: Api, plan: Plan, machine: Mapping[str, Any], state: str, waiting: Waiting) -> bool:
    """Whether the machine came to this state in time; `destroyed` is also one that is not shown any more."""
    begun = api.clock()
    while True:
        now = api.find(_path(plan, machine))
        if now is None or now.get("state") == state:
            return True
        if api.clock() - begun > waiting.timeout:
            return False
        _look(api, plan, now, state, waiting.timeout - (api.clock() - begun))


def _ended(plan: Plan, machine: Mapping[str, Any]) -> FuelError:
    why = _events.said(machine)
    return FuelError(
        f"the machine is {machine.get('state')}{f': {why}' if why else ''}",
        hint="see what it said: fly logs",
        where=plan.where,
        code="fly_ended",
        details={"machine_id": machine["id"], "state": machine.get("state")},
    )


def _too_late(plan: Plan, machine: Mapping[str, Any], waiting: Waiting) -> FuelError:
    return FuelError(
        f"the machine is still {machine.get('state')} after {waiting.timeout:g} s",
        hint="run again, which waits for the same machine; an image that is large takes its time",
        where=plan.where,
        code="fly_slow",
        details={"machine_id": machine["id"], "state": machine.get("state")},
    )


def destroy(
    api: Api, plan: Plan, waiting: Waiting, *, check: bool = False
) -> "tuple[List[str], List[Dict[str, str]], Dict[str, Any]]":
    """End the machine of this name: ids that were (or would be) ended, lines of a receipt, and how it was."""
    check_name(plan.name)
    where = plan.where
    try:
        found = find(api, plan.app, plan.name)
        before = summary(found)
        if found is None:
            _app.prove(api, plan.app, plan.org)
            return [], [] if check else [entry("fly machine", where, GONE)], before
        _check_owner(found, plan)
        machine_id = str(found["id"])
        if check:
            return [machine_id], [], before
        if found.get("state") not in ENDED:
            waiting.tell("destroy")
            with _lease.held(api, plan.app, machine_id, "destroy", waiting.lease) as nonce:
                try:
                    api.call("DELETE", _path(plan, found), query={"force": "true"}, nonce=nonce)
                except ApiError as error:
                    if error.status != 404:
                        raise
        gone = _await(api, plan, found, "destroyed", waiting)
    except ApiError as error:
        raise explain(error, where) from error
    line = entry("fly machine", f"{where} ({machine_id})", GONE if gone else PRESENT, "" if gone else "not ended yet")
    return [machine_id], [line], before
