# SPDX-License-Identifier: GPL-3.0-or-later
"""What each operation of the Machines API answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .cloud import Cloud
from .contract import Operation
from .records import ENDED, App, Machine, RefusedError, Volume, stamp

_NONCE = "HTTP_FLY_MACHINE_LEASE_NONCE"
#: What a summary of a machine leaves out.
_NO_SUMMARY = frozenset({"config", "checks", "events", "host_status", "nonce"})
#: Whoever may do these while somebody else holds the machine's lease: who only reads, waits or runs something in it.
FREE = frozenset(
    {
        "Machines_show",
        "Machines_wait",
        "Machines_exec",
        "Machines_list_events",
        "Machines_list_versions",
        "Machines_show_metadata",
        "Machines_get_metadata_key",
        "Machines_show_lease",
        "Machines_signal",
    }
)


@dataclass(frozen=True)
class Call:
    """One request to the API."""

    operation: Operation
    places: Mapping[str, Any]
    sent: dict[str, Any]
    query: Mapping[str, list[str]]
    environ: Mapping[str, Any]
    token: str
    #: Headers of the answer.
    headers: dict[str, str] = field(default_factory=dict)

    def asked(self, name: str, default: str = "") -> str:
        return self.query.get(name, [default])[-1]

    @property
    def nonce(self) -> str:
        return str(self.environ.get(_NONCE) or "")

    def sees(self, org: str) -> bool:
        """Whether the token is of this organization, or of all."""
        return org == self.token.partition("@")[2] or "@" not in self.token

    @property
    def owner(self) -> str:
        return f"{self.token.rpartition('-')[2].removeprefix('FlyV1 ')}@tokens.lab"


def reply(cloud: Cloud, call: Call) -> Any:
    """The answer's body; RefusedError in place of one."""
    kind = call.operation.id
    if "app_name" not in call.places:
        org = str(call.places.get("org_slug") or call.sent.get("org_slug") or call.asked("org_slug"))
        if not call.sees(org):
            raise RefusedError(404, "organization not found")
        if "org_slug" in call.places:
            return _of_organization(cloud, call)
        if kind == "Apps_create":
            return cloud.create_app(call.sent)
        found = [app for app in cloud.apps.values() if app.org == org and cloud.listed(app.created_at)]
        return {"apps": [each.shown() for each in found], "total_apps": len(found)}
    app = cloud.app(str(call.places["app_name"]))
    if not call.sees(app.org):
        # In the same words, whether there is one or not.
        raise RefusedError(404, "app not found")
    if "machine_id" in call.places:
        machine = cloud.machine(app, str(call.places["machine_id"]))
        if kind not in FREE and kind != "Machines_create_lease":
            cloud.check_lease(machine, call.nonce)
        return _MACHINE[kind](cloud, app, machine, call)
    if "volume_id" in call.places:
        return _VOLUME[kind](cloud, app, cloud.volume(app, str(call.places["volume_id"])), call)
    return _APP[kind](cloud, app, call)


def _of_organization(cloud: Cloud, call: Call) -> dict[str, Any]:
    after = call.asked("updated_after")
    summary = call.asked("summary") == "true"
    found = [
        machine.overview(config=not summary)
        for app in cloud.apps.values()
        if app.org == call.places["org_slug"]
        for machine in _asked_for(cloud, app, call)
    ]
    found = sorted((each for each in found if each["updated_at"] > after), key=lambda each: str(each["updated_at"]))
    page, more = _page(found, call, 1000)
    last = page[-1] if page else {}
    return {
        "machines": page,
        "next_cursor": more,
        "error_regions": [],
        "last_machine_id": last.get("id", ""),
        "last_updated_at": last.get("updated_at", stamp()),
    }


def _page(found: list[dict[str, Any]], call: Call, limit: int) -> tuple[list[dict[str, Any]], str]:
    """What is on this page, and the cursor of the next."""
    # One cursor is as good as the next: the number of machines that were given already.
    begin, size = int(call.asked("cursor", "0") or 0), min(limit, int(call.asked("limit", str(limit))))
    if size < 1:
        raise RefusedError(400, "limit must be between 1 and 1000")
    return found[begin : begin + size], str(begin + size) if begin + size < len(found) else ""


def _asked_for(cloud: Cloud, app: App, call: Call) -> list[Machine]:
    """The app's machines by the filters that both lists have."""
    deleted, region = call.asked("include_deleted") == "true", call.asked("region")
    states = [each for each in call.asked("state").split(",") if each]
    return [
        each
        for each in app.machines.values()
        if cloud.listed(each.created_at)
        and (deleted or each.state not in ENDED)
        and region in ("", each.region)
        and (not states or each.state in states)
    ]


def _machines(cloud: Cloud, app: App, call: Call) -> list[dict[str, Any]]:
    marks = {
        name.removeprefix("metadata."): values[-1]
        for name, values in call.query.items()
        if name.startswith("metadata.")
    }
    found = [each for each in _asked_for(cloud, app, call) if marks.items() <= _metadata(each).items()]
    shown = [_shown(each, call) for each in found]
    if call.asked("summary") == "true":
        shown = [{name: value for name, value in each.items() if name not in _NO_SUMMARY} for each in shown]
    # Without a limit there are no pages.
    if not call.asked("limit"):
        return shown
    page, more = _page(shown, call, 1000)
    if more:
        call.headers["fly-next-cursor"] = more
    return page


def _shown(machine: Machine, call: Call) -> dict[str, Any]:
    shown = machine.shown()
    held = machine.lease
    if call.asked("include_leases") == "true" and held is not None:
        shown["lease"] = {"owner": held.owner, "description": held.description, "expires_at": int(held.expires_at)}
    return shown


def _show_machine(cloud: Cloud, app: App, machine: Machine, call: Call) -> dict[str, Any]:
    shown = _shown(machine, call)
    version = call.asked("version")
    if version in ("", machine.instance_id):
        return shown
    for each in machine.versions:
        if each["version"] == version:
            return {
                **shown,
                "config": each["user_config"],
                "instance_id": version,
                "version": version,
                "state": "replaced",
            }
    raise RefusedError(404, "machine version not found")


def _secret(cloud: Cloud, app: App, call: Call) -> dict[str, Any]:
    found = app.secrets.get(str(call.places["secret_name"]))
    if found is None:
        raise RefusedError(404, "secret not found")
    return found.shown()


def _set_secret(cloud: Cloud, app: App, call: Call) -> dict[str, Any]:
    name = str(call.places["secret_name"])
    version = cloud.set_secrets(app, {name: str(call.sent["value"])})
    return {**app.secrets[name].shown(), "version": version}


def _forget_secret(cloud: Cloud, app: App, call: Call) -> dict[str, Any]:
    _secret(cloud, app, call)
    return {"version": cloud.set_secrets(app, {str(call.places["secret_name"]): None})}


def _update_secrets(cloud: Cloud, app: App, call: Call) -> dict[str, Any]:
    version = cloud.set_secrets(app, dict(call.sent.get("values") or {}))
    return {"secrets": _listed(app), "version": version}


def _listed(app: App) -> list[dict[str, Any]]:
    return [each.shown() for each in app.secrets.values()]


def _metadata(machine: Machine) -> dict[str, str]:
    found: dict[str, str] = machine.config.setdefault("metadata", {})
    return found


def _mark(cloud: Cloud, app: App, machine: Machine, call: Call) -> None:
    """Keys that are not named stay; null and an empty text remove."""
    if call.sent.get("machine_version") not in (None, "", machine.instance_id):
        raise RefusedError(412, "failed_precondition: the machine has another version by now")
    for key, value in dict(call.sent.get("metadata") or {}).items():
        if value:
            _metadata(machine)[str(key)] = str(value)
        else:
            _metadata(machine).pop(str(key), None)


def _marked(cloud: Cloud, app: App, machine: Machine, call: Call) -> dict[str, str]:
    key = str(call.places["key"])
    if key not in _metadata(machine):
        raise RefusedError(404, "metadata key not found")
    return {"value": _metadata(machine)[key]}


def _release(machine: Machine) -> dict[str, Any]:
    machine.lease = None
    return {"status": "success", "data": {"ok": True}}


def _waited(cloud: Cloud, app: App, machine: Machine, call: Call) -> dict[str, Any]:
    states = [state for each in call.query.get("state", ["started"]) for state in each.split(",")]
    version = call.asked("version") or call.asked("instance_id")
    return cloud.wait(machine, states, version, float(call.asked("timeout", "60")))


def _cordon(machine: Machine, *, cordoned: bool) -> None:
    machine.cordoned = cordoned


def _leased(cloud: Cloud, app: App, machine: Machine, call: Call) -> dict[str, Any]:
    # flyctl asks by the query, the description by the body.
    sent = {"ttl": call.asked("ttl"), **call.sent} if call.asked("ttl") else call.sent
    return cloud.lease(machine, sent, call.nonce, call.owner).shown(machine.instance_id)


def _show_lease(cloud: Cloud, app: App, machine: Machine, call: Call) -> dict[str, Any]:
    with cloud.changed:
        if machine.lease is None:
            raise RefusedError(404, "lease not found")
        return machine.lease.shown(machine.instance_id)


def _update_volume(cloud: Cloud, app: App, volume: Volume, call: Call) -> dict[str, Any]:
    if call.sent.get("snapshot_retention") is not None:
        volume.snapshot_retention = int(call.sent["snapshot_retention"])
    if call.sent.get("auto_backup_enabled") is not None:
        volume.auto_backup_enabled = bool(call.sent["auto_backup_enabled"])
    return volume.shown()


def _ok(_done: Any) -> dict[str, bool]:
    return {"ok": True}


_APP: dict[str, Callable[[Cloud, App, Call], Any]] = {
    "Apps_show": lambda cloud, app, call: app.shown(),
    "Apps_delete": lambda cloud, app, call: cloud.delete_app(app.name, force=call.asked("force") == "true"),
    "App_IPAssignments_list": lambda cloud, app, call: {
        "ips": [each for each in app.addresses if cloud.listed(app.assigned[each["ip"]])]
    },
    "App_IPAssignments_create": lambda cloud, app, call: cloud.assign_address(app, call.sent),
    "App_IPAssignments_delete": lambda cloud, app, call: cloud.release_address(app, str(call.places["ip"])),
    "Machines_list": _machines,
    "Machines_create": lambda cloud, app, call: cloud.create_machine(app, call.sent, call.owner),
    "Secrets_list": lambda cloud, app, call: {"secrets": _listed(app)},
    "Secrets_update": _update_secrets,
    "Secret_get": _secret,
    "Secret_create": _set_secret,
    "Secret_delete": _forget_secret,
    "Volumes_list": lambda cloud, app, call: [
        each.shown() for each in app.volumes.values() if cloud.listed(each.created_at)
    ],
    "Volumes_create": lambda cloud, app, call: cloud.create_volume(app, call.sent).shown(),
}
_MACHINE: dict[str, Callable[[Cloud, App, Machine, Call], Any]] = {
    "Machines_show": _show_machine,
    "Machines_update": lambda cloud, app, machine, call: cloud.update_machine(app, machine, call.sent),
    "Machines_delete": lambda cloud, app, machine, call: _ok(
        cloud.destroy_machine(machine, force=call.asked("force") == "true" or call.asked("kill") == "true")
    ),
    "Machines_start": lambda cloud, app, machine, call: cloud.start_machine(app, machine),
    "Machines_stop": lambda cloud, app, machine, call: _ok(cloud.stop_machine(machine, call.sent)),
    "Machines_suspend": lambda cloud, app, machine, call: _ok(cloud.suspend_machine(machine)),
    "Machines_signal": lambda cloud, app, machine, call: _ok(cloud.signal(machine, str(call.sent["signal"]))),
    "Machines_cordon": lambda cloud, app, machine, call: _ok(_cordon(machine, cordoned=True)),
    "Machines_uncordon": lambda cloud, app, machine, call: _ok(_cordon(machine, cordoned=False)),
    "Machines_wait": _waited,
    "Machines_exec": lambda cloud, app, machine, call: cloud.execute(machine, call.sent),
    "Machines_list_events": lambda cloud, app, machine, call: machine.events[: int(call.asked("limit", "20"))],
    "Machines_list_versions": lambda cloud, app, machine, call: machine.versions,
    "Machines_show_metadata": lambda cloud, app, machine, call: _metadata(machine),
    "Machines_update_metadata": _mark,
    "Machines_get_metadata_key": _marked,
    "Machines_upsert_metadata": lambda cloud, app, machine, call: _metadata(machine).update(
        {str(call.places["key"]): str(call.sent["value"])}
    ),
    "Machines_delete_metadata": lambda cloud, app, machine, call: _metadata(machine).pop(str(call.places["key"]), None),
    "Machines_show_lease": _show_lease,
    "Machines_create_lease": _leased,
    "Machines_release_lease": lambda cloud, app, machine, call: _release(machine),
}
_VOLUME: dict[str, Callable[[Cloud, App, Volume, Call], Any]] = {
    "Volumes_get_by_id": lambda cloud, app, volume, call: volume.shown(),
    "Volumes_update": _update_volume,
    "Volume_delete": lambda cloud, app, volume, call: cloud.delete_volume(app, volume),
    "Volumes_extend": lambda cloud, app, volume, call: cloud.extend_volume(volume, call.sent),
    "Volumes_list_snapshots": lambda cloud, app, volume, call: volume.snapshots,
    "createVolumeSnapshot": lambda cloud, app, volume, call: cloud.snapshot(volume),
}
