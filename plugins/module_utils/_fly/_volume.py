# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""One volume of a name in an app: made once, only ever larger, ended with proof.

Fly.io lets several volumes have one name, and knows no token that would make a create happen once. So a create is never
repeated blindly: what there is after it is looked at. Where an app is one environment's own (`sole`), the one that a
machine uses, else the eldest, is the one; a later one, which a killed run had asked for, was never used, and goes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Collection, Dict, Iterable, List, Mapping, Optional, Tuple

from .._errors import FuelError, UsageError
from .._prices import data_fly
from .._receipt import GONE, PRESENT, entry
from . import _app
from ._api import Api, ApiError, place
from ._refusals import explain

_NAME = re.compile(r"[a-z0-9_]{1,30}")
#: On its way out: Fly.io lists a volume for a while after it was destroyed.
ENDING = frozenset(
    {"scheduling_destroy", "fork_cleanup", "waiting_for_detach", "pending_destroy", "destroying", "destroyed"}
)
#: On its way in: no machine can have it yet.
COMING = frozenset({"creating", "restoring"})
#: Seconds. Fly.io takes one call a second of each kind, in bursts of three.
INTERVAL = 1.0
#: Seconds for which a volume that is made from a snapshot is waited for.
READY = 300.0
#: Seconds after which a volume that is not listed yet is taken for one that was not made.
SETTLE = 5.0


@dataclass
class Wanted:
    """A volume as it should be. `snapshot_id`: what a new one begins with."""

    app: str
    name: str
    region: str = ""
    size_gb: int = 1
    snapshot_id: str = ""
    snapshot_days: int = 5
    encrypted: bool = True
    #: The name means one volume, in an app that is nobody else's.
    sole: bool = False
    #: Organization of the app, by which an app that is gone is told from one that the token does not see.
    org: str = "personal"


@dataclass
class Result:
    """The volume, what was done, and its size before."""

    volume: Optional[Dict[str, Any]]
    done: List[str]
    size_before: int
    #: The machine sees what was added once it is started anew.
    needs_restart: bool = False


def check(wanted: Wanted) -> None:
    """UsageError for what Fly.io does not take."""
    if not _NAME.fullmatch(wanted.name):
        raise UsageError(f"{wanted.name[:80]!r} cannot name a volume", hint="use 1 to 30 of a-z, 0-9 and _")
    if not 1 <= wanted.size_gb <= 500:
        raise UsageError(f"a volume cannot have {wanted.size_gb} GB", hint="choose 1 to 500", code="bad_size")
    if not 1 <= wanted.snapshot_days <= 60:
        raise UsageError(f"snapshots cannot be kept {wanted.snapshot_days} days", hint="choose 1 to 60")


def listed(api: Api, app: str, name: str = "") -> List[Dict[str, Any]]:
    """Volumes that are there: the one that a machine uses first, then the eldest."""
    found = [
        each
        for each in api.listed(place("apps", app, "volumes"))
        if each.get("state") not in ENDING and name in ("", each.get("name"))
    ]
    return sorted(
        found, key=lambda each: (not each.get("attached_machine_id"), str(each.get("created_at")), str(each["id"]))
    )


def ensure(api: Api, wanted: Wanted, *, check_only: bool = False, make: bool = True) -> Result:
    """Have the volume, at least as large as wanted. FuelError where there is none and none is to be made."""
    check(wanted)
    try:
        return _ensure(api, wanted, check_only=check_only, make=make)
    except ApiError as error:
        raise explain(error, f"{wanted.app}/{wanted.name}") from error


def _ensure(api: Api, wanted: Wanted, *, check_only: bool, make: bool) -> Result:
    there = _there(api, wanted) if make else _existing(api, wanted)
    before = int(there[0].get("size_gb") or 0) if there else 0
    if not there:
        if check_only:
            return Result(None, ["create"], 0)
        there = _create(api, wanted)
        done = ["create"]
    else:
        done = []
    volume = there[0]
    surplus = [each for each in there[1:] if wanted.sole and not each.get("attached_machine_id")]
    if wanted.region and volume.get("region") != wanted.region:
        raise FuelError(
            f"the volume is in {volume.get('region')}, and volumes do not move",
            hint=f"use that region, or make one in {wanted.region} from its snapshot under another name",
            where=f"{wanted.app}/{wanted.name}",
            code="fly_other_region",
        )
    for each in surplus:
        done.append("remove a second one")
        if not check_only:
            _delete(api, wanted.app, each)
    if int(volume.get("size_gb") or 0) < wanted.size_gb:
        done.append("extend")
        if not check_only:
            volume = _ready(api, wanted, volume)
            path = place("apps", wanted.app, "volumes", str(volume["id"]))
            told = api.call("PUT", f"{path}/extend", {"size_gb": wanted.size_gb}, repeat=False) or {}
            return Result(api.call("GET", path), done, before, bool(told.get("needs_restart")))
    return Result(volume if check_only else _ready(api, wanted, volume), done, before)


def _ready(api: Api, wanted: Wanted, volume: Dict[str, Any]) -> Dict[str, Any]:
    """The volume once a machine can have it, which one from a snapshot takes a while for."""
    begun = api.clock()
    while volume.get("state") in COMING:
        if api.clock() - begun > READY:
            raise FuelError(
                f"the volume is still {volume['state']} after {READY:g} s",
                hint="run again, which waits for the same volume",
                where=f"{wanted.app}/{wanted.name}",
                code="fly_slow",
            )
        api.sleep(INTERVAL)
        volume = api.call("GET", place("apps", wanted.app, "volumes", str(volume["id"])))
    return volume


def _there(api: Api, wanted: Wanted) -> List[Dict[str, Any]]:
    """What has this name; FuelError when nobody but a person can say which one is meant."""
    found = listed(api, wanted.app, wanted.name)
    if len(found) > 1 and not wanted.sole:
        raise FuelError(
            f"there are {len(found)} volumes of that name: {', '.join(str(each['id']) for each in found[:5])}",
            hint="destroy those that are not meant, or say that the app is one environment's own (sole)",
            where=f"{wanted.app}/{wanted.name}",
            code="fly_ambiguous",
        )
    return found


def _existing(api: Api, wanted: Wanted) -> List[Dict[str, Any]]:
    """The same; FuelError when there is nothing."""
    found = _there(api, wanted)
    if not found:
        where = f"{wanted.app}/{wanted.name}"
        raise FuelError("there is no volume of that name", hint="make it first", where=where, code="fly_missing")
    return found


def _create(api: Api, wanted: Wanted) -> List[Dict[str, Any]]:
    """What is there after a create; nobody repeats it unless it is known that there is none."""
    body: Dict[str, Any] = {
        "name": wanted.name,
        "size_gb": wanted.size_gb,
        "encrypted": wanted.encrypted,
        "snapshot_retention": wanted.snapshot_days,
    }
    if wanted.region:
        body["region"] = wanted.region
    if wanted.snapshot_id:
        body["snapshot_id"] = wanted.snapshot_id
    begun = api.clock()
    while True:
        made: Any = None
        failed: Optional[ApiError] = None
        try:
            made = api.call("POST", place("apps", wanted.app, "volumes"), body, repeat=False)
        except ApiError as error:
            if not error.unknown:
                raise
            failed = error
        # Its answer is as good as the list, which may show it later.
        if isinstance(made, dict) and made.get("id"):
            return listed(api, wanted.app, wanted.name) or [made]
        there = _seen(api, wanted)
        if there:
            return there
        if failed is None or api.clock() - begun > api.patience:
            raise failed or FuelError(
                "Fly.io does not show the volume that it made",
                hint="run again: it finds what there is",
                where=f"{wanted.app}/{wanted.name}",
                code="fly_broken",
            )


def _seen(api: Api, wanted: Wanted) -> List[Dict[str, Any]]:
    """What of this name comes to be listed after a create whose answer was lost."""
    begun = api.clock()
    while True:
        there = listed(api, wanted.app, wanted.name)
        if there or api.clock() - begun > SETTLE:
            return there
        api.sleep(INTERVAL)


def snapshot(
    api: Api, wanted: Wanted, *, known: Optional[Collection[str]] = None, check_only: bool = False
) -> "Tuple[Dict[str, Any], Optional[Dict[str, Any]], bool]":
    """A snapshot of the volume, now: the volume, the snapshot once Fly.io lists one more, and whether it was asked for.

    Of `known`, the ids that there were when it was wanted first, one more may be there already: then that is the one.
    """
    check(wanted)
    try:
        volume = _existing(api, wanted)[0]
        listing = listed_snapshots(api, wanted.app, volume)
        later = [each for each in listing if known is not None and str(each["id"]) not in known]
        if later or check_only:
            return volume, later[0] if later else None, not later
        before = {str(each["id"]) for each in listing}
        api.call("POST", place("apps", wanted.app, "volumes", str(volume["id"]), "snapshots"), repeat=False)
        begun = api.clock()
        while api.clock() - begun < api.patience:
            for each in listed_snapshots(api, wanted.app, volume):
                if str(each["id"]) not in before:
                    return volume, each, True
            api.sleep(INTERVAL)
    except ApiError as error:
        raise explain(error, f"{wanted.app}/{wanted.name}") from error
    return volume, None, True


def listed_snapshots(api: Api, app: str, volume: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The snapshots of a volume, as Fly.io shows them."""
    return api.listed(place("apps", app, "volumes", str(volume["id"]), "snapshots"))


def disk(volume: Mapping[str, Any], listing: Iterable[Mapping[str, Any]], **more: Any) -> Dict[str, Any]:
    """A volume and its snapshots, the newest first, in the words that all providers share. `more` goes along."""
    snapshots = [
        {
            "id": str(each["id"]),
            "created_at": str(each.get("created_at") or ""),
            "state": str(each.get("status") or ""),
            "stored_bytes": int(each.get("size") or 0),
            "days": int(each.get("retention_days") or 0),
        }
        for each in listing
    ]
    return {
        "id": str(volume["id"]),
        "region": str(volume.get("region") or ""),
        "size_gb": int(volume.get("size_gb") or 0),
        "snapshot_days": int(volume.get("snapshot_retention") or 0),
        "snapshots": sorted(snapshots, key=lambda each: str(each["created_at"]), reverse=True),
        "prices": {
            "currency": data_fly.CURRENCY,
            "gb_month": data_fly.VOLUME_GB_MONTH,
            "snapshot_gb_month": data_fly.SNAPSHOT_GB_MONTH,
            "snapshot_free_gb": data_fly.SNAPSHOT_FREE_GB,
        },
        **more,
    }


def destroy(api: Api, wanted: Wanted, *, check_only: bool = False) -> "Tuple[List[str], List[Dict[str, str]]]":
    """End the volume of this name: ids that were (or would be) ended, and lines of a receipt."""
    check(wanted)
    where = f"{wanted.app}/{wanted.name}"
    try:
        there = _there(api, wanted)
        used = [str(each["attached_machine_id"]) for each in there if each.get("attached_machine_id")]
        if used:
            raise FuelError(
                f"the volume is in use by the machine {used[0]}",
                hint="destroy the machine first",
                where=where,
                code="fly_in_use",
            )
        ids = [str(each["id"]) for each in there]
        if not ids:
            _app.prove(api, wanted.app, wanted.org)
        if check_only:
            return ids, []
        kept = {str(each["id"]): _kept(api, wanted.app, each) for each in there}
        for each in there:
            _delete(api, wanted.app, each)
        begun = api.clock()
        left = ids
        while left and api.clock() - begun <= api.patience:
            shown = {str(each["id"]) for each in listed(api, wanted.app)}
            left = [each for each in ids if each in shown]
            if left:
                api.sleep(INTERVAL)
    except ApiError as error:
        raise explain(error, where) from error
    lines = [
        entry("fly volume", f"{where} ({each})", PRESENT, "still shown")
        if each in left
        else entry("fly volume", f"{where} ({each})", GONE, kept[each])
        for each in ids
    ]
    return ids, lines or [entry("fly volume", where, GONE)]


def _kept(api: Api, app: str, volume: Mapping[str, Any]) -> str:
    """What Fly.io keeps of a volume that is destroyed: its snapshots, each for its days. Nothing of ours ends them."""
    try:
        snapshots = disk(volume, listed_snapshots(api, app, volume))["snapshots"]
    except ApiError:
        # An end does not wait for what is only to be told of it.
        return ""
    if not snapshots:
        return ""
    names = ", ".join(each["id"] for each in snapshots[:5]) + (", ..." if len(snapshots) > 5 else "")
    return f"Fly.io keeps its snapshots for up to {max(each['days'] for each in snapshots)} days: {names}"


def _delete(api: Api, app: str, volume: Mapping[str, Any]) -> None:
    try:
        api.call("DELETE", place("apps", app, "volumes", str(volume["id"])))
    except ApiError as error:
        if error.status != 404:
            raise
