# SPDX-License-Identifier: GPL-3.0-or-later
"""Apps, and what they own besides machines: addresses, secrets, volumes."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

from .engine import Engine
from .records import RUNNING, App, Machine, RefusedError, Secret, Volume, stamp
from .settings import Settings

_APP_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_VOLUME_NAME = re.compile(r"[a-z0-9_]{1,30}")


class Apps:
    """All apps. `changed` is notified with every change of a state; it is the lock of everything besides."""

    def __init__(self, settings: Settings, engine: Engine | None, block: int) -> None:
        self.settings = settings
        self.changed = threading.Condition(threading.RLock())
        self.apps: dict[str, App] = {}
        #: Machine id -> where its container is reached.
        self.reached: dict[str, str] = {}
        self._engine = engine
        self._block = block
        self._numbers = iter(range(2, 255))
        #: Machines and volumes that there ever were, whatever the API shows: what tests count.
        self.every_machine: list[Machine] = []
        self.every_volume: list[Volume] = []

    # Apps

    def app(self, name: str) -> App:
        found = self.apps.get(name)
        if found is None:
            raise RefusedError(404, "app not found")
        return found

    def listed(self, made_at: float) -> bool:
        """Whether lists show by now what was made then."""
        return time.time() - made_at >= self.settings.list_lag

    def create_app(self, body: dict[str, Any]) -> dict[str, Any]:
        name = str(body.get("name") or body.get("app_name") or "")
        if not _APP_NAME.fullmatch(name):
            raise RefusedError(422, "Validation failed: Name may only contain letters, numbers and dashes")
        if not body.get("org_slug"):
            raise RefusedError(422, "Validation failed: Organization can't be blank")
        key = str(body.get("idempotency_key") or "")
        again = next((each for each in self.apps.values() if key and each.created_with == key), None)
        if again is not None and again.name != name:
            raise RefusedError(422, "Validation failed: idempotency_key was used for another app")
        if again is None and name in self.apps:
            raise RefusedError(422, "Validation failed: Name has already been taken", "name_taken")
        made = again or App(name, str(body["org_slug"]), str(body.get("network") or "default"), created_with=key)
        self.apps[name] = made
        return {"id": made.id, "created_at": int(made.created_at * 1000)}

    def delete_app(self, name: str, *, force: bool) -> None:
        """As on Fly.io, the machines and volumes of an app go with it; machines that run only where that is forced."""
        found = self.app(name)
        if not force and any(each.state in RUNNING for each in found.living()):
            raise RefusedError(412, "failed_precondition: the app has machines that run")
        for machine in found.living():
            self._destroyed(machine)
        for volume in list(found.volumes.values()):
            self._remove_volume(found, volume)
        del self.apps[name]
        self.changed.notify_all()

    def assign_address(self, app: App, body: dict[str, Any]) -> dict[str, Any]:
        """IPv4 is of loopback here, and answers; IPv6 is a record."""
        kind = str(body.get("type") or "")
        if kind not in ("v4", "v6", "shared_v4", "private_v6"):
            raise RefusedError(422, f"invalid ip type {kind!r}")
        number = next(self._numbers, None)
        if number is None:
            raise RefusedError(422, "no addresses left in this lab")
        prefix = {"v6": "2001:db8::", "private_v6": "fdaa:0:1::"}.get(kind)
        made = {
            "ip": f"{prefix}{number:x}" if prefix else f"127.0.{self._block}.{number}",
            "region": body.get("region") or "global",
            "service_name": "",
            "shared": kind == "shared_v4",
            "created_at": stamp(),
        }
        app.addresses.append(made)
        app.assigned[str(made["ip"])] = time.time()
        return made

    def release_address(self, app: App, address: str) -> None:
        kept = [each for each in app.addresses if each["ip"] != address]
        if len(kept) == len(app.addresses):
            raise RefusedError(404, "ip address not found")
        app.addresses[:] = kept

    # Secrets

    def set_secrets(self, app: App, values: dict[str, Any]) -> int:
        """Set those with a value, forget those with null; the new version. Machines see it with their next start."""
        for name, value in values.items():
            if value is None:
                app.secrets.pop(name, None)
            else:
                app.secrets[name] = Secret(name, str(value))
        app.secrets_version += 1
        return app.secrets_version

    # Volumes

    def volume(self, app: App, volume_id: str) -> Volume:
        found = app.volumes.get(volume_id)
        if found is None:
            raise RefusedError(404, "volume not found")
        return found

    def create_volume(self, app: App, body: dict[str, Any]) -> Volume:
        """As on Fly.io, a name does not have to be the only one of its kind."""
        name = str(body.get("name") or "")
        if not _VOLUME_NAME.fullmatch(name):
            raise RefusedError(422, "invalid volume name: only lower case letters, numbers and _, at most 30")
        size = int(body.get("size_gb") or 3)
        if not 1 <= size <= 500:
            raise RefusedError(422, "volume size must be between 1 and 500 GB")
        source = body.get("snapshot_id") or body.get("source_volume_id") or ""
        known = {each["id"] for owner in self.apps.values() for v in owner.volumes.values() for each in v.snapshots}
        if source and source not in known and not any(source in owner.volumes for owner in self.apps.values()):
            raise RefusedError(404, "snapshot not found")
        made = Volume(
            id=f"vol_{secrets.token_hex(8)}",
            name=name,
            app=app.name,
            region=str(body.get("region") or "iad"),
            size_gb=size,
            encrypted=body.get("encrypted") is not False,
            snapshot_retention=int(body.get("snapshot_retention") or 5),
            auto_backup_enabled=body.get("auto_backup_enabled") is not False,
        )
        if body.get("snapshot_id"):
            made.state = "restoring"
            self._soon(self.settings.boot_delay, lambda: self._restored(made))
        if self._engine is not None:
            self._engine.make_volume(made.id, source)
        app.volumes[made.id] = made
        self.every_volume.append(made)
        return made

    def _restored(self, volume: Volume) -> None:
        with self.changed:
            if volume.state == "restoring":
                volume.state = "created"

    def extend_volume(self, volume: Volume, body: dict[str, Any]) -> dict[str, Any]:
        size = int(body.get("size_gb") or 0)
        if size <= volume.size_gb:
            raise RefusedError(422, f"the size has to be larger than the {volume.size_gb} GB that there are")
        volume.size_gb = size
        return {"volume": volume.shown(), "needs_restart": False}

    def snapshot(self, volume: Volume) -> None:
        name = f"vs_{secrets.token_hex(8)}"
        made = {
            "id": name,
            "status": "created",
            "size": 0,
            "volume_size": volume.size_gb << 30,
            "digest": secrets.token_hex(32),
            "created_at": stamp(),
            "retention_days": volume.snapshot_retention,
        }
        if self._engine is not None:
            self._engine.make_volume(name, volume.id)
        volume.snapshots.append(made)

    def delete_volume(self, app: App, volume: Volume) -> dict[str, Any]:
        if volume.machine_id is not None:
            raise RefusedError(412, f"failed_precondition: volume is attached to machine {volume.machine_id}")
        self._remove_volume(app, volume)
        return volume.shown()

    def _remove_volume(self, app: App, volume: Volume) -> None:
        volume.state, volume.machine_id = "destroyed", None
        app.volumes.pop(volume.id, None)
        engine = self._engine
        if engine is not None:
            names = [volume.id, *(snapshot["id"] for snapshot in volume.snapshots)]
            self._soon(0.3, lambda: [engine.remove_volume(name) for name in names])

    # Time

    def _destroyed(self, machine: Machine) -> None:
        with self.changed:
            if machine.state == "destroyed":
                return
            machine.move("destroyed", "destroy")
            machine.destroyed_at, machine.lease = time.time(), None
            for volume in self.apps[machine.app].volumes.values() if machine.app in self.apps else []:
                if volume.machine_id == machine.id:
                    volume.machine_id = None
            self.reached.pop(machine.id, None)
            self.changed.notify_all()
        engine = self._engine
        if engine is not None:

            def remove() -> None:
                with machine.work:
                    engine.remove(machine.id)

            self._soon(0.0, remove)

    def _soon(self, seconds: float, work: Callable[[], Any]) -> None:
        timer = threading.Timer(seconds, work)
        timer.daemon = True
        timer.start()
