# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""An app: what owns the machines, volumes, secrets and addresses of one environment, and takes them with it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

from .._errors import FuelError, UsageError
from .._receipt import GONE, PRESENT, entry
from . import _tags
from ._api import Api, ApiError, place
from ._refusals import explain

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
#: Kinds of addresses; only `v4`, `v6` and `private_v6` take connections that are neither HTTP nor TLS.
KINDS = ("v4", "v6", "shared_v4", "private_v6")
#: Seconds. Fly.io takes one call a second of each kind, in bursts of three.
INTERVAL = 1.0
#: Seconds after which an address that is not listed yet is taken for one that was not assigned.
SETTLE = 5.0


def check_name(name: str) -> str:
    """The name unchanged; UsageError for one that Fly.io does not take."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name[:80]!r} cannot name an app", hint="use 1 to 63 of a-z, 0-9 and inner hyphens")
    return name


@dataclass
class Wanted:
    """An app as it should be. Without `network`, that of its organization.

    `sole`: it is one environment's own, so a second address of a kind is what a run that was killed left behind.
    """

    name: str
    org: str
    network: str = ""
    addresses: "tuple[str, ...]" = ()
    sole: bool = False


def find(api: Api, name: str) -> Optional[Dict[str, Any]]:
    """The app as Fly.io shows it; None where there is none, or none that this token may see."""
    try:
        found: Optional[Dict[str, Any]] = api.find(place("apps", name))
    except ApiError as error:
        raise explain(error, name) from error
    return found


def prove_absence(api: Api, name: str, org: str) -> None:
    """Have a 404 for this app mean that it is not there; FuelError when the token would not see it anyhow.

    Fly.io answers the same for an app that is gone and for one that is not this token's to see. What tells them apart
    is whether the token sees the organization at all, and whether its list still has the app.
    """
    try:
        shown = api.listed(place("apps"), "apps", required=True, org_slug=org)
    except ApiError as error:
        if error.status not in (401, 403, 404):
            raise
        raise FuelError(
            f"the token does not see the organization {org}, so whether the app is there cannot be told",
            hint="use a token of that organization, or name the one in which the app was made",
            where=name,
            code="fly_unseen",
        ) from error
    if any(each.get("name") == name for each in shown):
        raise FuelError(
            f"Fly.io shows the app in the list of {org}, and not by itself",
            hint="run again, with a token of the whole organization",
            where=name,
            code="fly_unseen",
        )


def prove(api: Api, name: str, org: str) -> None:
    """The same where nothing was found in the app: either it is seen, or it is not there."""
    if api.find(place("apps", name)) is None:
        prove_absence(api, name, org)


def kind_of(address: Mapping[str, Any]) -> str:
    ip = str(address.get("ip") or "")
    if address.get("shared"):
        return "shared_v4"
    if ip.startswith("fdaa:"):
        return "private_v6"
    return "v6" if ":" in ip else "v4"


def addresses(api: Api, name: str) -> List[Dict[str, Any]]:
    """Where the app is connected to, each with its `kind`, the eldest first; not what its machines connect from."""
    found = api.listed(place("apps", name, "ip_assignments"), "ips")
    shown = [
        {"ip": str(each["ip"]), "kind": kind_of(each), "since": str(each.get("created_at") or "")}
        for each in found
        if not each.get("egress")
    ]
    return sorted(shown, key=lambda each: (each["since"], each["ip"]))


def ensure(api: Api, wanted: Wanted, *, check: bool = False) -> bool:
    """Have the app and its addresses; whether anything was, or would be, changed."""
    check_name(wanted.name)
    try:
        found = find(api, wanted.name)
        made = found is None
        if found is None:
            if check:
                return True
            found = _create(api, wanted)
        owner = str((found.get("organization") or {}).get("slug") or "")
        if owner and wanted.org and owner != wanted.org:
            raise FuelError(
                f"the app is in the organization {owner}, not in {wanted.org}",
                hint="name its organization, or choose another name",
                where=wanted.name,
                code="fly_other_organization",
            )
        changed = [_address(api, wanted, kind, check=check) for kind in wanted.addresses]
    except ApiError as error:
        raise explain(error, wanted.name) from error
    return made or any(changed)


def _create(api: Api, wanted: Wanted) -> Dict[str, Any]:
    # The resource pages name it app_name, the published description name: each takes the one and passes over the other.
    body = {"app_name": wanted.name, "name": wanted.name, "org_slug": wanted.org}
    # A create that is made again, because its answer was lost, is answered as the first one would have been.
    body["idempotency_key"] = secrets.token_hex(16)
    if wanted.network:
        body["network"] = wanted.network
    refused: Optional[ApiError] = None
    try:
        api.call("POST", place("apps"), body)
    except ApiError as error:
        # An earlier try whose answer was lost may have made it.
        if error.code != "name_taken" and "already been taken" not in error.message:
            raise
        refused = error
    begun = api.clock()
    while True:
        found: Optional[Dict[str, Any]] = None
        try:
            found = api.find(place("apps", wanted.name))
        except ApiError as error:
            # Fly.io needs a moment until a token may see a new app; another's app it never may.
            if error.status not in (401, 403):
                raise
        if found is not None:
            return found
        if refused is not None and api.clock() - begun > 3.0:
            raise refused
        if api.clock() - begun > api.patience:
            raise FuelError("Fly.io does not show the app that it made", hint="run again", where=wanted.name)
        api.sleep(INTERVAL)


def _address(api: Api, wanted: Wanted, kind: str, *, check: bool) -> bool:
    """One address of this kind.

    Nothing makes an assignment unique. In an app that is one environment's own (`sole`) nobody but a run that was
    killed can have asked for a second one, which costs: the eldest stays. Elsewhere it is somebody's, and left alone.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind[:40]!r} is no kind of address", hint=f"one of {', '.join(KINDS)}")
    there = _of_kind(api, wanted.name, kind)
    changed = not there
    if not there:
        if check:
            return True
        there = _assign(api, wanted.name, kind)
    for surplus in there[1:] if wanted.sole else []:
        changed = True
        if not check:
            _release(api, wanted.name, surplus["ip"])
    return changed


def _of_kind(api: Api, name: str, kind: str) -> List[Dict[str, Any]]:
    return [each for each in addresses(api, name) if each["kind"] == kind]


def _assign(api: Api, name: str, kind: str) -> List[Dict[str, Any]]:
    """What is listed after an assignment, which is made again only when its answer was lost and nothing came of it."""
    begun = api.clock()
    while True:
        failed: Optional[ApiError] = None
        try:
            api.call("POST", place("apps", name, "ip_assignments"), {"type": kind}, repeat=False)
        except ApiError as error:
            if not error.unknown:
                raise
            failed = error
        asked = api.clock()
        while True:
            there = _of_kind(api, name, kind)
            if there:
                return there
            if api.clock() - asked > (SETTLE if failed else api.patience):
                break
            api.sleep(INTERVAL)
        if failed is None or api.clock() - begun > api.patience:
            raise failed or FuelError(
                f"Fly.io shows no {kind} address", hint="run again", where=name, code="fly_broken"
            )


def _release(api: Api, name: str, address: str) -> None:
    try:
        api.call("DELETE", place("apps", name, "ip_assignments", address))
    except ApiError as error:
        if error.status != 404:
            raise


def foreign(api: Api, name: str, environment_id: str) -> List[str]:
    """Names of machines in the app that are not of this environment."""
    machines = api.listed(place("apps", name, "machines"))
    return [
        str(each.get("name") or each["id"])
        for each in machines
        if _tags.of(each).get(_tags.ENVIRONMENT) != environment_id
    ]


def destroy(
    api: Api, name: str, environment_id: str, org: str, *, check: bool = False
) -> "tuple[bool, List[Dict[str, str]]]":
    """End the app with all that it owns: whether there was one, and the lines of a receipt.

    With an environment's id, refused while there is a machine in it that is not of that environment. An app that this
    run never saw is believed to be gone only if the token sees the organization in which it would be.
    """
    check_name(name)
    try:
        found = api.find(place("apps", name))
        if found is not None and environment_id:
            others = foreign(api, name, environment_id)
            if others:
                raise FuelError(
                    f"there are machines in it that are not of this environment: {', '.join(others[:5])}",
                    hint="move or destroy them yourself: nothing was touched",
                    where=name,
                    code="fly_foreign",
                )
        if found is None:
            prove_absence(api, name, org)
        if found is None or check:
            return found is not None, [] if check else [entry("fly app", name, GONE)]
        try:
            # Without, an app is not deleted whose machines run.
            api.call("DELETE", place("apps", name), query={"force": "true"})
        except ApiError as error:
            if error.status != 404:
                raise
        begun = api.clock()
        while api.find(place("apps", name)) is not None:
            if api.clock() - begun > api.patience:
                return True, [entry("fly app", name, PRESENT, "Fly.io still shows it")]
            api.sleep(INTERVAL)
    except ApiError as error:
        raise explain(error, name) from error
    return True, [entry("fly app", name, GONE)]
