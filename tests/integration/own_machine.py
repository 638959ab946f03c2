# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine of somebody's own: systemd and sshd in a container, a user with sudo, and a port on loopback."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import threading
import time
from pathlib import Path

from tests.lab.ec2 import image
from tests.lab.ec2.fleet import BOOT

from .machine import docker

USER = "alice"
_FIRST = (
    "touch /etc/cloud/cloud-init.disabled; ssh-keygen -A >/dev/null; useradd -m -s /bin/bash alice;"
    " echo 'alice ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/alice; exec /sbin/init"
)
#: Everything that a person would notice, but for logs, and lists and caches of the package manager.
_LOOK = r"""
dpkg --list | awk '{print "package", $1, $2}'
find / -xdev \( -path /proc -o -path /sys -o -path /var/log -o -path /var/lib/apt/lists -o -path /var/cache \
  -o -path '/tmp/systemd-*' -o -path '/var/tmp/systemd-*' -o -path /run \) -prune -o -print
find /run -maxdepth 1 ! -name 'systemd*' ! -name udev ! -name log ! -name 'utmp*' ! -name 'user*' ! -name 'motd*'
ls -A /var/lib/docker | sed 's/^/graph /'
ls /sys/class/net | sed 's/^/link /'
iptables-save 2>/dev/null | sed 's/ \[.*//' | grep -Ev '^#|^\*|^COMMIT|^:[A-Z]+ ACCEPT$' | sed 's/^/rule /'
sed 's/^/group /' /etc/group; sed 's/^/user /' /etc/passwd
command -v docker >/dev/null && {
  docker images --no-trunc --quiet | sort -u | sed 's/^/image /'
  docker ps --all --format 'container {{.Names}} {{.State}}'; docker volume ls --quiet | sed 's/^/volume /'
  docker network ls --format 'network {{.Name}}'; cat /etc/docker/daemon.json 2>/dev/null; }
true
"""


class OwnMachine:
    """One machine; `with` starts and removes it. `kind`: of the lab's images, `machine` or `machine-docker`."""

    def __init__(self, folder: Path, kind: str = "machine") -> None:
        self.folder = folder
        self._kind = kind
        self.name = f"fuel-own-{secrets.token_hex(5)}"
        self.key = folder / "login"
        self.known_hosts = folder / "known_hosts"

    def __enter__(self) -> OwnMachine:
        self.folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        started = [image.ensure(self._kind), "sh", "-c", _FIRST]
        docker("run", "--detach", "--name", self.name, *BOOT, "--publish", "127.0.0.1::22", *started)
        try:
            self.port = int(docker("port", self.name, "22").splitlines()[0].rpartition(":")[2])
            self._let_in()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", self.name)

    @property
    def host(self) -> str:
        return f"{USER}@127.0.0.1:{self.port}"

    def options(self) -> dict[str, str]:
        """What provider ssh is given."""
        return {"host": self.host, "known_hosts": str(self.known_hosts), "identity_file": str(self.key)}

    def controller(self) -> str:
        """The address of this machine, as that one sees it."""
        return self.sh("ip route show default").split()[2]

    def fingerprint(self) -> str:
        return self.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").split()[1]

    def sh(self, script: str, check: bool = True) -> str:
        """Run a script as root, not by the way that is tested."""
        done = subprocess.run(
            ["docker", "exec", "--interactive", self.name, "sh", "-c", script],
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def load(self, reference: str) -> None:
        """An image of this machine's engine, as if its engine had pulled it."""
        with subprocess.Popen(["docker", "save", reference], stdout=subprocess.PIPE) as saved:
            given = ["docker", "exec", "--interactive", self.name, "docker", "load", "--quiet"]
            subprocess.run(given, stdin=saved.stdout, check=True, capture_output=True)

    def look(self) -> set[str]:
        """Everything that a person would notice."""
        return set(self.sh(_LOOK).splitlines())

    def _let_in(self) -> None:
        end = time.monotonic() + 300
        while (
            "running" not in (state := self.sh("systemctl is-system-running", check=False)) and "degraded" not in state
        ):
            assert time.monotonic() < end, f"the machine does not boot: {state}"
            time.sleep(0.3)
        public = self.key.with_suffix(".pub").read_text().strip()
        self.sh(
            f"install -d -m 700 -o alice -g alice /home/alice/.ssh; echo '{public}' > /home/alice/.ssh/authorized_keys;"
            " chown alice: /home/alice/.ssh/authorized_keys"
        )
        words = self.sh("cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {' '.join(words)}\n")
        if self._kind == "machine-docker":
            while self.sh("docker version >/dev/null 2>&1 && echo up", check=False) != "up":
                assert time.monotonic() < end, "its engine does not start"
                time.sleep(0.3)


class Late:
    """The way to a machine's SSH server, which takes this many seconds."""

    def __init__(self, machine: OwnMachine, known_hosts: Path, *, seconds: float) -> None:
        self._machine = machine
        self._seconds = seconds
        self._ended = threading.Event()
        self.taken = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        self.host = f"{USER}@127.0.0.1:{port}"
        known_hosts.write_text(machine.known_hosts.read_text().replace(str(machine.port), str(port)))
        self._known_hosts = known_hosts

    def options(self) -> dict[str, str]:
        return {**self._machine.options(), "host": self.host, "known_hosts": str(self._known_hosts)}

    def __enter__(self) -> Late:
        threading.Thread(target=self._take, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _take(self) -> None:
        while True:
            try:
                connection, _address = self._socket.accept()
            except OSError:
                return
            self.taken += 1
            threading.Thread(target=self._lead, args=(connection,), daemon=True).start()

    def _lead(self, connection: socket.socket) -> None:
        with connection:
            if self._ended.wait(self._seconds):
                return
            with socket.create_connection(("127.0.0.1", self._machine.port)) as there:
                back = threading.Thread(target=_copy, args=(there, connection), daemon=True)
                back.start()
                _copy(connection, there)
                back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
