# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's Fly.io: machines, their leases, and when each is in which state."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from typing import Any

from tests.lab.ec2.fleet import FleetError

from .apps import Apps
from .engine import Engine
from .records import RUNNING, STARTABLE, App, Lease, Machine, RefusedError, Volume, stamp, ulid

WAITABLE = frozenset({"started", "stopped", "suspended", "destroyed", "failed", "settled"})
SETTLED = frozenset({"created", "started", "stopped", "suspended", "destroyed", "failed"})


class Cloud(Apps):
    """Machines, besides what `Apps` has. Hold `changed` around every call but `wait` and `execute`."""

    def machine(self, app: App, machine_id: str) -> Machine:
        found = app.machines.get(machine_id)
        gone = found is not None and found.destroyed_at is not None
        if found is None or (gone and time.time() - float(found.destroyed_at or 0) > self.settings.remembered):
            raise RefusedError(404, "machine not found")
        return found

    def create_machine(self, app: App, body: dict[str, Any], owner: str) -> dict[str, Any]:
        config = body.get("config")
        if not isinstance(config, dict) or not config.get("image"):
            raise RefusedError(400, "invalid config.image: an image is required")
        machine_id = secrets.token_hex(7)
        name = str(body.get("name") or f"lab-{machine_id[:6]}")
        for each in app.living():
            if each.name == name:
                raise RefusedError(
                    409,
                    "already_exists: unique machine name violation, machine ID "
                    f'{each.id} already exists with name "{name}"',
                )
        made = Machine(machine_id, name, app.name, str(body.get("region") or "iad"), config)
        made.private_ip = f"fdaa:0:{self._block:x}:a7b::{len(self.every_machine) + 2:x}"
        made.digest = self._digest(config["image"])
        volumes = self._mounts(app, made)
        for volume in volumes.values():
            volume.machine_id = made.id
        made.versions.append({"version": made.instance_id, "user_config": config})
        if body.get("lease_ttl"):
            made.lease = self._lease(int(body["lease_ttl"]), owner, "")
        app.machines[made.id] = made
        self.every_machine.append(made)
        made.move("created", "launch", "user")
        if not body.get("skip_launch"):
            self._launch(app, made)
        shown = made.shown()
        return {**shown, "nonce": made.lease.nonce} if made.lease else shown

    def _digest(self, image: str) -> str:
        if self._engine is None:
            return f"sha256:{secrets.token_hex(32)}"
        try:
            return self._engine.digest(image)
        except FleetError:
            raise RefusedError(400, f"failed to get manifest {image}: manifest unknown") from None

    def _mounts(self, app: App, machine: Machine) -> dict[str, Volume]:
        found: dict[str, Volume] = {}
        for mount in machine.config.get("mounts") or []:
            volume = app.volumes.get(str(mount.get("volume")))
            if volume is None:
                raise RefusedError(400, f"volume {mount.get('volume')} does not exist")
            if volume.state == "restoring":
                raise RefusedError(412, f"failed_precondition: volume {volume.id} is not ready, it is 'restoring'")
            if volume.region != machine.region:
                raise RefusedError(400, f"volume {volume.id} is in {volume.region}, not in {machine.region}")
            if volume.machine_id not in (None, machine.id):
                raise RefusedError(409, f"volume {volume.id} is attached to machine {volume.machine_id}")
            found[str(mount.get("path"))] = volume
        return found

    def update_machine(self, app: App, machine: Machine, body: dict[str, Any]) -> dict[str, Any]:
        self._known(machine)
        if body.get("current_version") not in (None, "", machine.instance_id):
            raise RefusedError(409, "aborted: the machine has another version by now")
        before = machine.config
        machine.config = body.get("config") or before
        try:
            machine.digest = self._digest(machine.config["image"])
            volumes = self._mounts(app, machine)
            had = {each.id for each in app.volumes.values() if each.machine_id == machine.id}
            if had and volumes and had != {each.id for each in volumes.values()}:
                raise RefusedError(400, "invalid config.mounts: a machine cannot change its volume")
        except RefusedError:
            machine.config = before
            raise
        for volume in app.volumes.values():
            if volume.machine_id == machine.id:
                volume.machine_id = None
        for volume in volumes.values():
            volume.machine_id = machine.id
        # Name and region cannot be changed: what is sent of them is passed over.
        machine.instance_id = ulid()
        machine.versions.insert(0, {"version": machine.instance_id, "user_config": machine.config})
        if body.get("skip_launch") and machine.state not in RUNNING:
            machine.move(machine.state, "update", "user")
        else:
            machine.move("replacing", "update", "user")
            self._launch(app, machine, "replacing")
        self.changed.notify_all()
        return machine.shown()

    def start_machine(self, app: App, machine: Machine) -> dict[str, Any]:
        before = machine.state
        if before not in STARTABLE:
            raise RefusedError(412, f"failed_precondition: unable to start machine from current state: '{before}'")
        self._launch(app, machine)
        return {"previous_state": before, "migrated": False, "new_host": ""}

    def stop_machine(self, machine: Machine, body: dict[str, Any]) -> None:
        self._known(machine)
        if machine.state not in RUNNING and machine.state != "suspended":
            raise RefusedError(409, "unable to stop machine, not currently started")
        asked = body.get("timeout")
        seconds = float(str(asked).rstrip("s")) if isinstance(asked, str | int | float) else 5.0
        machine.move("stopping", "stop", "user")
        signal = str(body.get("signal") or (machine.config.get("stop_config") or {}).get("signal") or "SIGINT")
        self._end(machine, "stopping", "stopped", lambda engine: engine.stop(machine.id, signal, seconds), keep=False)

    def suspend_machine(self, machine: Machine) -> None:
        if machine.state != "started":
            raise RefusedError(412, f"failed_precondition: unable to suspend machine, it is '{machine.state}'")
        machine.move("suspending", "suspend", "user")
        self._end(machine, "suspending", "suspended", lambda engine: engine.pause(machine.id), keep=True)

    def destroy_machine(self, machine: Machine, *, force: bool) -> None:
        if machine.state in ("destroying", "destroyed"):
            return
        if not force and machine.state not in ("created", "stopped", "suspended", "failed"):
            raise RefusedError(
                412, "failed_precondition: unable to destroy machine, not currently stopped or suspended"
            )
        machine.move("destroying", "destroy", "user")
        self.changed.notify_all()
        self._soon(self.settings.end_delay, lambda: self._destroyed(machine))

    def wait(self, machine: Machine, states: list[str], version: str, seconds: float) -> dict[str, Any]:
        """Until the machine is in one of these states; refused with 408 when it is not in time."""
        if not set(states) <= WAITABLE:
            raise RefusedError(400, f"invalid state: one of {', '.join(sorted(WAITABLE))}")
        deadline = time.monotonic() + min(seconds, 60.0)
        with self.changed:
            while True:
                if machine.state in states or ("settled" in states and machine.state in SETTLED):
                    return {"ok": True, "state": machine.state, "version": machine.instance_id, "event_id": ""}
                if version and version != machine.instance_id:
                    raise RefusedError(404, "machine version not found")
                left = deadline - time.monotonic()
                if left <= 0:
                    still = f"{', '.join(states)}, currently {machine.state}"
                    raise RefusedError(408, f"deadline_exceeded: machine failed to reach desired state, {still}")
                self.changed.wait(left)

    def execute(self, machine: Machine, body: dict[str, Any]) -> dict[str, Any]:
        if machine.state != "started":
            raise RefusedError(412, f"failed_precondition: machine is not running, it is '{machine.state}'")
        command = body.get("command") or ["sh", "-c", str(body.get("cmd") or "")]
        if self._engine is None:
            raise RefusedError(501, "this lab has no machines")
        done = self._engine.execute(
            machine.id, [str(each) for each in command], str(body.get("stdin") or ""), float(body.get("timeout") or 60)
        )
        return {"exit_code": done.exit_code, "exit_signal": 0, "stdout": done.stdout, "stderr": done.stderr}

    def signal(self, machine: Machine, signal: str) -> None:
        if machine.state != "started":
            raise RefusedError(412, f"failed_precondition: machine is not running, it is '{machine.state}'")
        if self._engine is not None:
            self._engine.signal(machine.id, signal)

    # Leases

    def lease(self, machine: Machine, body: dict[str, Any], nonce: str, owner: str) -> Lease:
        """A new lease, or with its nonce the one that there is, for longer."""
        self.check_lease(machine, nonce)
        held = machine.lease if nonce and machine.lease and machine.lease.nonce == nonce else None
        machine.lease = self._lease(int(body.get("ttl") or 300), owner, str(body.get("description") or ""))
        if held is not None:
            machine.lease.nonce = held.nonce
        return machine.lease

    def check_lease(self, machine: Machine, nonce: str) -> None:
        """Refused with 409 while somebody else holds it."""
        held = machine.lease
        if held is None or held.expires_at <= time.time():
            machine.lease = None
            return
        if held.nonce != nonce:
            raise RefusedError(
                409,
                f"machine ID {machine.id} lease currently held by {held.owner}, expires at {stamp(held.expires_at)}",
            )

    def _lease(self, seconds: int, owner: str, description: str) -> Lease:
        return Lease(secrets.token_hex(6), time.time() + seconds, owner, description)

    # Time and containers

    def _known(self, machine: Machine) -> None:
        if machine.state in ("destroying", "destroyed"):
            raise RefusedError(412, f"failed_precondition: machine is '{machine.state}'")

    def _launch(self, app: App, machine: Machine, state: str = "starting") -> None:
        resumed = machine.state == "suspended"
        if state == "starting":
            machine.move("starting", "start", "user")
        version = machine.instance_id
        machine.last_used = time.monotonic()
        self.changed.notify_all()
        self._soon(self.settings.boot_delay, lambda: self._boot(app, machine, version, resumed=resumed))

    def _boot(self, app: App, machine: Machine, version: str, *, resumed: bool) -> None:
        with machine.work:
            with self.changed:
                if machine.state not in ("starting", "replacing") or machine.instance_id != version:
                    return
                environment = {name: each.value for name, each in app.secrets.items()}
                environment.update({key: str(value) for key, value in (machine.config.get("env") or {}).items()})
                environment.update(
                    FLY_APP_NAME=app.name,
                    FLY_MACHINE_ID=machine.id,
                    FLY_REGION=machine.region,
                    FLY_PRIVATE_IP=machine.private_ip,
                )
                mounts = {path: volume.id for path, volume in self._mounts(app, machine).items()}
            problem = ""
            if self._engine is not None:
                try:
                    if resumed:
                        self._engine.resume(machine.id)
                    else:
                        self.reached[machine.id] = self._engine.run(
                            machine.id,
                            machine.config,
                            environment,
                            mounts,
                            lambda code: self._exited(app, machine, version, code),
                        )
                except (FleetError, ValueError) as error:
                    problem = str(error)
            with self.changed:
                if machine.state in ("starting", "replacing") and machine.instance_id == version:
                    machine.move("failed" if problem else "started", "start", **({"error": problem} if problem else {}))
                self.changed.notify_all()

    def _exited(self, app: App, machine: Machine, version: str, code: int) -> None:
        """The main process ended by itself."""
        with self.changed:
            if machine.state not in RUNNING or machine.instance_id != version:
                return
            machine.move("stopped", "exit", exit_event={"exit_code": code, "requested_stop": False})
            restart = machine.config.get("restart") or {}
            policy = str(restart.get("policy") or "on-failure")
            again = policy == "always" or (policy == "on-failure" and code != 0)
            if again and machine.restarts < int(restart.get("max_retries") or 10):
                machine.restarts += 1
                self._launch(app, machine)
            elif machine.config.get("auto_destroy"):
                self.destroy_machine(machine, force=True)
            self.changed.notify_all()

    def _end(self, machine: Machine, while_: str, then: str, act: Callable[[Engine], None], *, keep: bool) -> None:
        """To the state `then`, once the engine has done it; its container is removed unless it is kept."""
        self.changed.notify_all()
        version = machine.instance_id

        def work() -> None:
            with machine.work:
                if self._engine is not None:
                    with contextlib.suppress(FleetError):
                        act(self._engine)
                    if not keep:
                        self._engine.remove(machine.id)
                with self.changed:
                    if machine.state == while_ and machine.instance_id == version:
                        machine.move(then, "exit" if then == "stopped" else while_)
                    self.changed.notify_all()

        self._soon(self.settings.end_delay, work)
