# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The end of machines, in one batch, until AWS itself says that they are terminated."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Optional, Sequence, Set, Tuple

from .._errors import FuelError
from .._progress import Progress
from . import _describe, _leftovers, _refusals
from ._api import Api, ApiError
from ._view import DEAD, Instance

_IDS = re.compile(r"i-[0-9a-f]+")
#: TerminateInstances is made again when an instance is still shown alive after this many seconds.
INSIST = 10.0


@dataclass
class Ending:
    """What is to end and how long to wait. Seconds; `launched_at` in epoch seconds."""

    environment_ids: Sequence[str] = ()
    instance_ids: Sequence[str] = ()
    timeout: float = 300.0
    interval: float = 1.0
    #: For so long after the last launch, the silence of Describe proves nothing.
    settle: float = 45.0
    #: When a launch was last asked for; None when nobody knows, and then it counts from now.
    launched_at: Optional[float] = None
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass
class _Watched:
    """What is known about one instance on its way out."""

    instance: Instance
    asked_at: Optional[float] = None
    #: It ran when it was asked to end.
    ran: bool = False
    #: Since when AWS has not known it any more.
    missing_since: Optional[float] = None
    gone: bool = False


@dataclass
class Ended:
    """The result: whether anything was there to end, and for each thing (environment id, receipt entry).

    An entry is {kind, name, state, detail}; the environment is empty for what carries no tag that says it.
    """

    changed: bool
    lines: List[Tuple[str, Dict[str, str]]] = field(default_factory=list)
    #: Of environments that had no other, the machines that had ended before they were asked to: {environment_id, name,
    #: reason}, the reason in AWS's words.
    lost: List[Dict[str, str]] = field(default_factory=list)

    @property
    def resources(self) -> List[Dict[str, str]]:
        return [line for _environment, line in self.lines]

    @property
    def complete(self) -> bool:
        return all(each["state"] == "gone" for each in self.resources)

    def of(self, environment_id: str) -> List[Dict[str, str]]:
        """What this environment had; empty for one that had nothing."""
        return [line for environment, line in self.lines if environment == environment_id]


def find(api: Api, ending: Ending) -> Dict[str, Instance]:
    """Instances of these environments, and those named by id, by instance id.

    FuelError for a named one that does not carry our tag: it is not ours to end.
    """
    found = {each.instance_id: each for each in _describe.instances_of(api, ending.environment_ids)}
    named = [each for each in ending.instance_ids if each not in found]
    for each in _describe.instances_by_id(api, named).values():
        if not each.managed:
            raise FuelError(
                "this instance does not carry our tag, so it is not ended",
                hint="end it in the EC2 console if you mean it",
                where=each.instance_id,
                code="ec2_foreign",
            )
        found[each.instance_id] = each
    return found


def ensure_gone(api: Api, ending: Ending, progress: Progress) -> Ended:
    """End every machine and wait until AWS says that it is terminated; then ask for what it had.

    It returns when all is settled or the time is up; `complete` tells which.
    """
    watched: Dict[str, _Watched] = {}
    with progress.step("terminate instances") as step:
        _settle(api, ending, watched)
        changed = any(each.asked_at is not None for each in watched.values())
        if not changed:
            step.reuse("nothing was running")
        else:
            step.message = ", ".join(sorted(watched))
    with progress.step("confirm") as step:
        instances = [each.instance for each in watched.values()]
        ended = Ended(changed)
        for name, each in sorted(watched.items()):
            ended.lines.append((each.instance.environment_id, _entry(name, each, ending)))
        ended.lost = _lost(watched)
        for kind in _leftovers.KINDS:
            had = {name: each.environment_id for each in instances for name in getattr(each, kind.attribute)}
            ended.lines += _leftovers.confirm(api, kind, ending, had)
        step.message = f"{sum(each['state'] == 'gone' for each in ended.resources)} of {len(ended.lines)} gone"
    return ended


def _settle(api: Api, ending: Ending, watched: Dict[str, _Watched]) -> None:
    """Terminate what shows up until nothing lives and nothing more can show up."""
    begun = ending.clock()
    wanted: Set[str] = set(ending.environment_ids)
    settled: Set[str] = set()
    quiet_at = begun + ending.settle
    if ending.launched_at is not None:
        quiet_at = begun + max(0.0, min(ending.settle, ending.launched_at + ending.settle - ending.wall()))
    while True:
        seen = find(api, ending)
        now = ending.clock()
        _update(watched, seen, now, ending)
        due = [
            name
            for name, each in watched.items()
            if name in seen and not each.instance.dead and (each.asked_at is None or now - each.asked_at >= INSIST)
        ]
        for name, before in _terminate(api, due).items():
            each = watched[name]
            each.asked_at = now
            if before not in DEAD:
                each.ran = True
                # It lived, so no later attempt has been launched: nothing else can show up for this environment.
                settled.add(each.instance.environment_id)
        if all(each.gone for each in watched.values()) and (now >= quiet_at or settled.issuperset(wanted)):
            return
        if now > max(quiet_at, begun + ending.timeout):
            return
        ending.sleep(ending.interval)


def _update(watched: Dict[str, _Watched], seen: Dict[str, Instance], now: float, ending: Ending) -> None:
    for name, instance in seen.items():
        each = watched.setdefault(name, _Watched(instance))
        # What it had is not shown any more once it is terminated.
        kept = each.instance
        volumes, interfaces = instance.volumes or kept.volumes, instance.interfaces or kept.interfaces
        each.instance = _with(instance, volumes=volumes, interfaces=interfaces)
        each.missing_since = None
        each.gone = instance.state == "terminated"
    for name in ending.instance_ids:
        watched.setdefault(name, _Watched(Instance(instance_id=name, state="unknown")))
    for name, each in watched.items():
        if name not in seen and not each.gone:
            each.missing_since = now if each.missing_since is None else each.missing_since
            # Once is no proof; for as long as Describe can lag, it is.
            each.gone = now - each.missing_since >= ending.settle


def _with(instance: Instance, **changes: Any) -> Instance:
    return Instance(**{**instance.__dict__, **changes})


def _terminate(api: Api, names: Sequence[str]) -> Dict[str, str]:
    """One call for all: id to the state before it. Those that AWS does not know yet are left for the next round."""
    asked: Dict[str, str] = {}
    for ids in _describe.chunks(names, 500):
        wanted = list(ids)
        while wanted:
            try:
                answer = api.call("terminate_instances", InstanceIds=wanted)
            except ApiError as error:
                unknown = set(_IDS.findall(error.message)) & set(wanted)
                if error.code != "InvalidInstanceID.NotFound" or not unknown:
                    raise _refusals.explain(error, ", ".join(wanted[:5])) from error
                wanted = [each for each in wanted if each not in unknown]
                continue
            for each in answer.get("TerminatingInstances") or []:
                asked[each["InstanceId"]] = (each.get("PreviousState") or {}).get("Name", "unknown")
            break
    return asked


def _lost(watched: Dict[str, _Watched]) -> List[Dict[str, str]]:
    ran = {each.instance.environment_id for each in watched.values() if not _ended_before(each)}
    return [
        {
            "environment_id": each.instance.environment_id,
            "name": name,
            "reason": _refusals.one_line(each.instance.reason_text or each.instance.reason) or "terminated",
        }
        for name, each in sorted(watched.items())
        if each.instance.environment_id not in ran
    ]


def _ended_before(each: _Watched) -> bool:
    """Whether it had ended before we asked. Of what may be our own call, whose answer was lost, nobody can say so."""
    if not each.instance.dead or each.ran:
        return False
    return each.asked_at is None or each.instance.reason != "Client.UserInitiatedShutdown"


def _entry(name: str, each: _Watched, ending: Ending) -> Dict[str, str]:
    if each.gone and each.missing_since is not None:
        return {"kind": "instance", "name": name, "state": "gone", "detail": f"unknown to AWS for {ending.settle:g} s"}
    reason = each.instance.reason_text or each.instance.reason
    detail = f"{each.instance.state}: {reason}" if reason and each.gone else each.instance.state
    state = "gone" if each.gone else ("unknown" if each.instance.state == "unknown" else "present")
    return {"kind": "instance", "name": name, "state": state, "detail": _refusals.one_line(detail)}
