# SPDX-License-Identifier: GPL-3.0-or-later
"""Fly Proxy: takes connections to an app's addresses and hands them to the machine that serves the port.

A machine that is stopped or suspended is started by a connection where its service says so (`autostart`), and stopped
when it was quiet for the setting `autostop_after` (`autostop`).
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import Any

from .cloud import Cloud
from .records import STARTABLE, App, Machine, RefusedError

#: Seconds for which a connection waits for its machine.
PATIENCE = 30.0
#: Handlers by which an address that apps share knows whose a connection is.
SHARED = frozenset({"http", "tls"})
Port = tuple[str, int]


class Proxy:
    """Listens wherever apps, as they are now, have an address and a service."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._listeners: dict[Port, socket.socket] = {}
        self._open: dict[str, int] = {}

    def start(self) -> None:
        threading.Thread(target=self._follow, name="proxy", daemon=True).start()

    def _follow(self) -> None:
        while True:
            with self._cloud.changed:
                wanted = self._wanted()
            for port in self._listeners.keys() - wanted:
                # Only a shutdown wakes whoever waits in accept().
                with contextlib.suppress(OSError):
                    self._listeners[port].shutdown(socket.SHUT_RDWR)
                self._listeners.pop(port).close()
            for port in wanted - self._listeners.keys():
                with contextlib.suppress(OSError):
                    self._listeners[port] = socket.create_server(port)
                    listener = self._listeners[port]
                    threading.Thread(target=self._accept, args=(port, listener), daemon=True).start()
            self._autostop()
            with self._cloud.changed:
                self._cloud.changed.wait(0.3)

    def _wanted(self) -> set[Port]:
        found: set[Port] = set()
        for app in self._cloud.apps.values():
            for address in (each for each in app.addresses if ":" not in each["ip"]):
                for machine in app.living():
                    for service in machine.services():
                        for port in service.get("ports") or []:
                            if not address["shared"] or SHARED & set(port.get("handlers") or []):
                                found.add((address["ip"], int(port["port"])))
        return found

    def _accept(self, port: Port, listener: socket.socket) -> None:
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(port, connection), daemon=True).start()

    def _serve(self, port: Port, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, RefusedError):
            target = self._reach(port)
            if target is None:
                return
            machine, inside = target
            self._open[machine.id] = self._open.get(machine.id, 0) + 1
            try:
                with self._connect(machine, inside) as upstream:
                    _splice(connection, upstream)
            finally:
                self._open[machine.id] -= 1
                machine.last_used = time.monotonic()

    def _reach(self, port: Port) -> tuple[Machine, int] | None:
        """A started machine that serves this port, started for it where it may be; and the port inside."""
        with self._cloud.changed:
            candidates = [
                (app, machine, service)
                for app in self._cloud.apps.values()
                if any(address["ip"] == port[0] for address in app.addresses)
                for machine in app.living()
                for service in machine.services()
                if any(int(each["port"]) == port[1] for each in service.get("ports") or [])
            ]
            if not candidates:
                return None
            app, machine, service = min(candidates, key=lambda each: each[1].state != "started")
            if machine.state in STARTABLE and service.get("autostart") is not False:
                self._cloud.start_machine(app, machine)
            self._await(app, machine)
            return (machine, int(service["internal_port"])) if machine.state == "started" else None

    def _await(self, app: App, machine: Machine) -> None:
        deadline = time.monotonic() + PATIENCE
        while machine.state in ("starting", "replacing") and time.monotonic() < deadline:
            self._cloud.changed.wait(deadline - time.monotonic())

    def _connect(self, machine: Machine, inside: int) -> socket.socket:
        """What listens in a machine that has only just started may need a moment."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection((self._cloud.reached[machine.id], inside), 5)
            except (OSError, KeyError):
                if time.monotonic() > deadline or machine.state != "started":
                    raise OSError("the machine does not listen") from None
                time.sleep(0.1)

    def _autostop(self) -> None:
        limit = self._cloud.settings.autostop_after
        if not limit:
            return
        with self._cloud.changed:
            for app in self._cloud.apps.values():
                for machine in app.living():
                    asked: Any = [each.get("autostop") for each in machine.services()]
                    quiet = time.monotonic() - machine.last_used > limit and not self._open.get(machine.id)
                    if machine.state == "started" and quiet and any(each not in (None, False, "off") for each in asked):
                        if "suspend" in asked:
                            self._cloud.suspend_machine(machine)
                        else:
                            self._cloud.stop_machine(machine, {})


def _splice(one: socket.socket, other: socket.socket) -> None:
    """Both ways, until both have ended; the end of one direction is passed on."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(one, selectors.EVENT_READ, other)
        waiting.register(other, selectors.EVENT_READ, one)
        while waiting.get_map():
            for key, _mask in waiting.select():
                source, target = key.fileobj, key.data
                assert isinstance(source, socket.socket)
                data = source.recv(65536)
                if data:
                    target.sendall(data)
                else:
                    waiting.unregister(source)
                    with contextlib.suppress(OSError):
                        target.shutdown(socket.SHUT_WR)
