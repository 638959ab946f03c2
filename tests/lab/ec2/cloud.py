# SPDX-License-Identifier: GPL-3.0-or-later
"""moto's EC2 with what it leaves out: client tokens, a Describe that lags, states that take time, machines.

moto keeps the records and speaks the protocol; this module decides when an instance is what. It replaces three of
moto's responses (`install`) and moves all instances to the present (`advance`) before every call.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError, InvalidInstanceIdError, InvalidParameterCombination
from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance, InstanceState, Reservation, StateReason
from moto.ec2.responses.instances import InstanceResponse
from moto.ec2.utils import filter_dict_attribute_mapping

from . import amis, life
from .fleet import Fleet, FleetError, Machine
from .life import Life
from .settings import Settings

ACCOUNT = "123456789012"
#: Whoever calls comes from loopback, which no security group could name: this stands for it.
CALLER = "198.51.100.7"
#: Machine numbers of one lab: the last part of its addresses.
NUMBERS = range(2, 251)


class Cloud:
    """All instances of all regions. Hold `lock` around every call into moto."""

    def __init__(self, settings: Settings, fleet: Fleet | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.lock = threading.RLock()
        self.settings = settings
        self.lives: dict[str, Life] = {}
        self._fleet = fleet
        self._clock = clock
        self._instances: dict[str, Instance] = {}
        self._machines: dict[str, Machine] = {}
        self._tokens: dict[tuple[str, str], tuple[str, str, str]] = {}
        self._owners: dict[str, str] = {}
        self._next_boots: list[tuple[str, float]] = []
        #: Where whoever connects comes from, as far as rules go.
        self.caller = CALLER
        self._closed: dict[str, bool] = {}

    def install(self) -> None:
        """Put this cloud in the place of moto's own responses."""
        run, describe = InstanceResponse.run_instances, InstanceResponse.describe_instances
        replacements: dict[str, Callable[[InstanceResponse], ActionResult]] = {
            "run_instances": lambda response: self._run(response, run),
            "describe_instances": lambda response: self._describe(response, describe),
            "terminate_instances": self._terminate,
            "stop_instances": lambda response: self._halt(response, halted=True),
            "start_instances": lambda response: self._halt(response, halted=False),
        }
        amis.add()
        filter_dict_attribute_mapping["client-token"] = "client_token"
        for name, replacement in replacements.items():
            # A function, for a bound method would not be given the response that moto calls it on.
            setattr(InstanceResponse, name, lambda response, answer=replacement: answer(response))

    def next_boots(self, kind: str, count: int, seconds: float) -> None:
        """The next `count` instances boot like this (see life.BOOTS)."""
        if kind not in life.BOOTS:
            raise ValueError(f"kind is one of {', '.join(life.BOOTS)}")
        with self.lock:
            self._next_boots += [(kind, seconds)] * count

    # Calls

    def _run(self, response: InstanceResponse, original: Callable[[InstanceResponse], ActionResult]) -> ActionResult:
        response.error_on_dryrun()
        token = str(response._get_param("ClientToken", ""))
        asked = {name: values for name, values in response.data.items() if name != "ClientToken"}
        fingerprint = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        key = (response.region, token)
        if token and key in self._tokens:
            return self._again(response, key, fingerprint)
        result = original(response)
        reservation: Any = result.result
        for instance in reservation.instances:
            self._born(instance, response, token)
            if token:
                self._tokens[key] = (fingerprint, reservation.id, instance.id)
        return result

    def _again(self, response: InstanceResponse, key: tuple[str, str], fingerprint: str) -> ActionResult:
        first, reservation, instance_id = self._tokens[key]
        if first != fingerprint:
            raise EC2ClientError(
                "IdempotentParameterMismatch",
                "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
            )
        if self.lives[instance_id].ending is not None:
            raise EC2ClientError(
                "IdempotentInstanceTerminated",
                "The request to launch an instance uses the same client token as a previous request for which "
                "the instance has been terminated.",
            )
        return ActionResult(response.ec2_backend.reservations[reservation])

    def _describe(
        self, response: InstanceResponse, original: Callable[[InstanceResponse], ActionResult]
    ) -> ActionResult:
        hidden = self._unknown()
        asked = response._get_param("InstanceIds", [])
        if missing := [each for each in asked if each in hidden]:
            raise InvalidInstanceIdError(missing)
        result: Any = original(response).result
        shown = []
        for reservation in result["Reservations"]:
            kept = Reservation(reservation.id, reservation.owner_id)
            kept.groups = reservation.groups
            kept.instances = [instance for instance in reservation.instances if instance.id not in hidden]
            if kept.instances:
                shown.append(kept)
        return ActionResult({**result, "Reservations": shown})

    def _terminate(self, response: InstanceResponse) -> ActionResult:
        def end(each: Life) -> None:
            self._end(each, life.USER, stale=self.settings.stale)

        return ActionResult({"TerminatingInstances": self._changed(response, end)})

    def _halt(self, response: InstanceResponse, *, halted: bool) -> ActionResult:
        """The machine stands still, or goes on."""

        def halt(each: Life) -> None:
            machine = self._machines.get(each.instance_id)
            if each.ending is not None or each.halted == halted:
                return
            if self._fleet is not None and machine is not None:
                self._fleet.freeze(machine, frozen=halted)
            each.halted = halted

        return ActionResult({"StoppingInstances" if halted else "StartingInstances": self._changed(response, halt)})

    def _changed(self, response: InstanceResponse, change: Callable[[Life], None]) -> list[dict[str, Any]]:
        """Each instance that the call names, before and after the change."""
        asked = response._get_param("InstanceIds", [])
        if not asked:
            raise InvalidParameterCombination("No instances specified")
        hidden = self._unknown()
        if missing := [each for each in asked if each in hidden or each not in self.lives]:
            raise InvalidInstanceIdError(missing)
        response.error_on_dryrun()
        now, answers = self._clock(), []
        for instance_id in asked:
            each = self.lives[instance_id]
            before = each.state(now)
            change(each)
            after = each.state(now)
            answers.append(
                {
                    "InstanceId": instance_id,
                    "CurrentState": {"Code": life.CODES[after], "Name": after},
                    "PreviousState": {"Code": life.CODES[before], "Name": before},
                }
            )
        return answers

    def _unknown(self) -> set[str]:
        now = self._clock()
        return {each.instance_id for each in self.lives.values() if not each.known(now, self.settings.remembered)}

    # Time

    def advance(self) -> None:
        """Bring every instance, as moto shows it, to the present."""
        now = self._clock()
        for each in self.lives.values():
            instance = self._instances[each.instance_id]
            if each.dies is not None and now >= each.dies:
                self._end(each, life.CLOUD)
            if each.state(now) == "terminated" and each.buried is None:
                each.buried = now
                instance.terminate()  # moto's own: volumes and interfaces go
            if each.ending is not None and now >= each.stale:
                code, message = each.reason
                instance.state_reason = StateReason(message, code)
                by_user = each.reason in (life.USER, life.INSTANCE)
                instance._reason = "User initiated" if by_user else "Server initiated"
            shown = each.shown(now)
            instance._state = InstanceState(shown, life.CODES[shown])

    def interrupt(self, instance_id: str, seconds: float) -> None:
        """A spot interruption: the notice now, the end after `seconds`."""
        with self.lock:
            each = self.lives[instance_id]
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
            each.notes["spot"] = json.dumps({"action": "terminate", "time": at})
            self._serve(each)

        def end() -> None:
            with self.lock:
                self._end(each, life.SPOT)

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()

    def filter(self) -> None:
        """With the setting, open and close the machines' port 22 as the rules are now."""
        for each in self.lives.values():
            machine = self._machines.get(each.instance_id)
            if self._fleet is None or machine is None or each.machine_gone or each.ending is not None:
                continue
            closed = bool(self.settings.filter) and not self._is_let_in(self._instances[each.instance_id])
            if closed != self._closed.get(each.instance_id, False):
                # One that does not run yet is seen to when it has been started.
                with contextlib.suppress(FleetError):
                    self._fleet.close(machine, closed=closed)
                    self._closed[each.instance_id] = closed

    def _is_let_in(self, instance: Instance) -> bool:
        caller = ipaddress.ip_address(self.caller)
        return any(
            caller in ipaddress.ip_network(rule.ip_range["CidrIp"])
            for group in instance.dynamic_group_list
            for rule in group.ingress_rules
            if rule.ip_protocol in ("tcp", "-1") and int(rule.from_port or 0) <= 22 <= int(rule.to_port or 65535)
            if "CidrIp" in rule.ip_range
        )

    def truth(self) -> list[dict[str, Any]]:
        """Every instance that there ever was, as it truly is, whatever Describe says; `ended` is seconds ago."""
        with self.lock:
            self.advance()
            now = self._clock()
            return [
                {
                    "id": each.instance_id,
                    "region": each.region,
                    "state": each.state(now),
                    "reason": each.reason[0] if each.ending is not None else "",
                    "ended": now - each.ending if each.ending is not None else None,
                    "notes": each.notes,
                    "token": each.token,
                    "type": self._instances[each.instance_id].instance_type,
                    "zone": self._instances[each.instance_id].availability_zone,
                    "market": self._instances[each.instance_id].lifecycle or "on-demand",
                    "tags": {tag["key"]: tag["value"] for tag in self._instances[each.instance_id].get_tags()},
                    "machine": self._machines[each.instance_id].name if each.instance_id in self._machines else None,
                    "address": self._instances[each.instance_id].public_ip,
                }
                for each in self.lives.values()
            ]

    def leftovers(self) -> dict[str, dict[str, str]]:
        """Volumes and network interfaces that exist, in all regions, each with the instance that was made with it."""
        with self.lock:
            self.advance()
            backends = ec2_backends[ACCOUNT].values()
            return {
                "volumes": {name: self._owners.get(name, "") for backend in backends for name in backend.volumes},
                "interfaces": {name: self._owners.get(name, "") for backend in backends for name in backend.enis},
            }

    # Machines

    def _born(self, instance: Instance, response: InstanceResponse, token: str) -> None:
        now = self._clock()
        kind, seconds = self._next_boots.pop(0) if self._next_boots else ("good", 0.0)
        each = Life(
            instance_id=instance.id,
            region=response.region,
            token=token,
            launched=now,
            visible=now + self.settings.describe_lag(),
            running=now + self.settings.boot_delay,
            boot=kind,
            dies=now + seconds if kind == "dies" else None,
        )
        self.lives[instance.id], self._instances[instance.id] = each, instance
        instance._state = InstanceState("pending", 0)
        tags = response._parse_tag_specification()
        for eni in instance.nics.values():
            eni.delete_on_termination = True
            eni.add_tags(tags.get("network-interface", {}))
        self._owners.update({eni.id: instance.id for eni in instance.nics.values()})
        self._owners.update({device.volume_id: instance.id for _name, device in instance.get_block_device_mapping})
        number = self._number()
        if self._fleet is None or number is None:
            return
        machine = self._fleet.place(number, instance.id)
        self._machines[instance.id] = machine
        primary = instance.nics[0]
        primary.private_ip_address, primary.mac_address = machine.private_address, machine.mac
        primary.private_ip_addresses = [{"Primary": True, "PrivateIpAddress": machine.private_address}]
        primary.public_ip = machine.public_address
        if kind in ("good", "dies", "no-network"):
            each.machine_gone = False
            self._serve(each)
            self._soon(self.settings.boot_delay, lambda: self._boot(each, machine, network=kind != "no-network"))

    def _number(self) -> int | None:
        used = {
            machine.number
            for instance_id, machine in self._machines.items()
            if not self.lives[instance_id].machine_gone
        }
        return next((number for number in NUMBERS if number not in used), None)

    def _boot(self, each: Life, machine: Machine, *, network: bool) -> None:
        assert self._fleet is not None
        try:
            if each.ending is None:
                name = f"ip-{machine.private_address.replace('.', '-')}"
                prepared = self._instances[each.instance_id].image_id == amis.PREPARED
                self._fleet.boot(
                    machine, name, network=network, ended=lambda: self._powered_off(each), prepared=prepared
                )
        except FleetError as error:
            each.notes["error"] = str(error)
            with self.lock:
                self._end(each, life.CLOUD)
            return
        if each.ending is not None:  # terminated while it was being started
            self._remove(each)
        with self.lock:
            self.filter()

    def _powered_off(self, each: Life) -> None:
        with self.lock:
            if self._instances[each.instance_id].instance_initiated_shutdown_behavior == "terminate":
                self._end(each, life.INSTANCE)
            elif each.ending is None:
                each.halted = True

    def _end(self, each: Life, reason: tuple[str, str], *, stale: float = 0.0) -> None:
        if each.ending is None:
            each.end(self._clock(), delay=self.settings.shutdown_delay, stale=stale, reason=reason)
            if not each.machine_gone:
                self._soon(0.0, lambda: self._remove(each))

    def _remove(self, each: Life) -> None:
        assert self._fleet is not None
        try:
            self._fleet.remove(self._machines[each.instance_id])
        except FleetError as error:
            each.notes["error"] = str(error)  # stays `shutting-down`, which is the truth
        else:
            each.machine_gone = True

    def _serve(self, each: Life) -> None:
        """Tell the metadata service about this instance."""
        machine = self._machines.get(each.instance_id)
        if self._fleet is None or machine is None:
            return
        instance = self._instances[each.instance_id]
        keys = ec2_backends[ACCOUNT][each.region].key_pairs
        name = f"ip-{machine.private_address.replace('.', '-')}"
        meta: dict[str, Any] = {
            "ami-id": instance.image_id,
            "hostname": name,
            "instance-id": instance.id,
            "instance-life-cycle": instance.lifecycle or "on-demand",
            "instance-type": instance.instance_type,
            "local-hostname": name,
            "local-ipv4": machine.private_address,
            "mac": machine.mac,
            "network": {"interfaces": {"macs": {machine.mac: {"device-number": "0", "mac": machine.mac}}}},
            "placement": {"availability-zone": instance.availability_zone, "region": each.region},
            "public-ipv4": machine.public_address,
        }
        if instance.key_name in keys:
            meta["public-keys"] = {
                f"0={instance.key_name}": {"openssh-key": keys[instance.key_name].material_public.decode().strip()}
            }
        if "spot" in each.notes:
            meta["spot"] = {"instance-action": each.notes["spot"]}
        self._fleet.describe(
            machine,
            {
                "hop_limit": instance.metadata_options.http_put_response_hop_limit,
                "user_data": decoded(instance.user_data),
                "meta_data": meta,
                "document": {"instanceId": instance.id, "region": each.region, "accountId": ACCOUNT},
            },
        )

    def _soon(self, seconds: float, work: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, work)
        timer.daemon = True
        timer.start()


def decoded(user_data: Any) -> str:
    """moto keeps user-data as it came in: base64, in a type of its own."""
    return "" if user_data is None else str(user_data.decode())
