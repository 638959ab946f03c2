# SPDX-License-Identifier: GPL-3.0-or-later
"""A fresh Debian with systemd, in a container, on which role control_plane is played; entered through the engine."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab.ec2 import image
from tests.lab.ec2.fleet import BOOT

from .machine import ansible_within, docker

#: A real machine's root is shared, which systemd needs to hand over credentials; a container's is not.
_FIRST = "mount --make-rshared /; touch /etc/cloud/cloud-init.disabled; exec /sbin/init"
#: Seconds: several machines at once, on two processors that others want too. A test that has less time ends it itself.
_PATIENCE = 1800
PLAYBOOK = "fuel_code.remote.control_plane"


class PlaneMachine:
    """One machine; `with` starts and removes it. Its nginx is reached at https://localhost:`port`.

    `archive`: wheels that fit its Python. `kind`: of image, which says which Debian. `words`: more for the engine.
    """

    def __init__(
        self, folder: Path, archive: Path = Path(), kind: str = "machine", *, words: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.archive = archive
        self._kind = kind
        self._words = words
        self.name = f"fuel-plane-{secrets.token_hex(5)}"
        self.certificate = folder / "server.crt"
        self.own: dict[str, str | int] = {}
        # One that stays: the engine would choose another with each start.
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]

    def __enter__(self) -> PlaneMachine:
        self.folder.mkdir(parents=True, exist_ok=True)
        reference = image.ensure(self._kind)
        words = ("--publish", f"127.0.0.1:{self.port}:443", *self._words)
        docker("run", "--detach", "--name", self.name, *BOOT, *words, reference, "sh", "-c", _FIRST)
        try:
            self._booted()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", self.name)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def sh(self, script: str, *, check: bool = True, given: str = "") -> str:
        """Run a script as root, with `given` on its stdin."""
        command = ["docker", "exec", "--interactive", self.name, "bash", "-c", script]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def entry(self) -> str:
        """Its line in an inventory, with what is its own alone (`own`)."""
        own = "".join(f" {name}={value}" for name, value in self.own.items())
        return (
            f"{self.name} ansible_connection=community.docker.docker ansible_python_interpreter=/usr/bin/python3"
            f" control_plane_wheelhouse={self.archive}{own}\n"
        )

    def play(self, *words: str, workers: Sequence[PlaneMachine] = (), **variables: Any) -> dict[str, int]:
        """Play the playbook, with `workers` on machines of their own; how many tasks were `changed` here, and so on."""
        inventory = self.folder / "inventory.ini"
        lines = ["[control_plane]\n", self.entry(), "[control_plane_workers]\n", *(each.entry() for each in workers)]
        inventory.write_text("".join(lines))
        given = self.folder / "variables.json"
        # Backups are counted: none is made by itself because it happens to be night.
        defaults = {"control_plane_hostname": "localhost", "control_plane_backup_at": "2099-01-01"}
        given.write_text(json.dumps({**defaults, **variables}))
        command = ["ansible-playbook", "-i", str(inventory), PLAYBOOK, "-e", f"@{given}", *words]
        folder = self.folder
        done = ansible_within(_PATIENCE, command, collections=folder / "c", home=folder, ANSIBLE_PIPELINING="1")
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        self.said = done.stdout
        recap = next(line for line in reversed(done.stdout.splitlines()) if line.startswith(self.name))
        return {key: int(value) for key, value in (word.split("=") for word in recap.split(" : ")[1].split())}

    def take_certificate(self) -> None:
        self.certificate.write_text(self.sh("cat /etc/fuelctl/tls/server.crt") + "\n")

    def ask(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
        """GET from outside, by a certificate that is held against the machine's own: status, headers, body."""
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=10, context=trusted)
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()

    def is_ready(self) -> bool:
        try:
            return self.ask("/readyz")[0] == 200
        except OSError:
            return False

    def wait_ready(self, seconds: float = 60) -> float:
        """Until it answers; how long that took."""
        begun = time.monotonic()
        while not self.is_ready():
            assert time.monotonic() < begun + seconds, self.sh("journalctl -u 'fuelctl-*' -n 40 --no-pager")
            time.sleep(0.2)
        return time.monotonic() - begun

    def pid(self, service: str) -> int:
        return int(self.sh(f"systemctl show --property=MainPID --value {service}"))

    def reboot(self) -> None:
        """Off and on again."""
        docker("restart", "--time", "30", self.name)
        self._booted()

    def _booted(self) -> None:
        end = time.monotonic() + 60
        while self.sh("systemctl is-system-running", check=False) not in {"running", "degraded"}:
            assert time.monotonic() < end, "the machine does not boot"
            time.sleep(0.3)
