# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines behind the API: one Docker container per instance, with systemd, sshd and cloud-init inside.

All of a lab's machines live on one Docker network 10.213.<block>.0/24, the metadata service beside them. Machine n has
10.213.<block>.<n> there and is reached from outside, sshd only, at 127.0.<block>.<n>:22.
"""

from __future__ import annotations

import functools
import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import image

#: One lab (a random word, so that its janitor takes nothing of the next lab), and its block of addresses.
LABEL = "fuel-code-lab.ec2"
LABEL_BLOCK = "fuel-code-lab.ec2.block"
#: systemd needs its cgroup; the capability that sandboxes often lack themselves is left out.
BOOT = (
    *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE", "--security-opt", "seccomp=unconfined"),
    *("--security-opt", "apparmor=unconfined", "--cgroupns", "host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "-v", "/var/lib/docker"),
)
#: What a registry was given once, every later one has: a push then only compares digests.
REGISTRY_VOLUME = "fuel-code-lab-registry"
METADATA = "ip address add 169.254.169.254/32 dev eth0 && exec python3 /usr/local/lib/fuel-code-lab/imds.py /instances"


class FleetError(Exception):
    """A command of the engine failed; the text is what it said."""


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if check and done.returncode != 0:
        raise FleetError(f"docker {' '.join(arguments[:2])}: {done.stderr.strip()}")
    return done.stdout


@dataclass(frozen=True)
class Machine:
    """Where one instance lives."""

    name: str
    number: int
    public_address: str
    private_address: str
    mac: str


class Fleet:
    """Starts, watches and removes machines. `folder` is the lab's own, for what the metadata service serves."""

    def __init__(self, lab: str, block: int, folder: Path, images: Sequence[str] = ()) -> None:
        self._labels = ("--label", f"{LABEL}={lab}", "--label", f"{LABEL_BLOCK}={block}")
        self._block = block
        self._folder = folder
        self._image = ""
        self._images = images
        self._prepared = threading.Lock()
        self._network = f"fuel-code-lab-{block}"

    def start(self) -> None:
        """The network and its metadata service. Whatever an earlier lab of this block left is removed first."""
        self._image = image.ensure()
        remove_all(LABEL_BLOCK, str(self._block))
        docker("network", "create", *self._labels, "--subnet", f"10.213.{self._block}.0/24", self._network)
        docker(
            *("run", "--detach", "--name", f"{self._network}-metadata", *self._labels),
            *("--network", self._network, "--ip", f"10.213.{self._block}.254", "--cap-add", "NET_ADMIN"),
            *("-v", f"{self._folder}:/instances:ro", self._image, "sh", "-c", METADATA),
        )
        if self._images:
            self._start_registry()

    @property
    def registry(self) -> str:
        """Where machines find the images, as a registry mirror; empty without images."""
        return f"http://10.213.{self._block}.253:5000" if self._images else ""

    def _start_registry(self) -> None:
        """Docker Hub's stand-in, filled from this machine's engine; what it holds is kept for the next lab."""
        here = f"127.0.{self._block}.1:5000"
        docker(
            *("run", "--detach", "--name", f"{self._network}-registry", *self._labels),
            *("--network", self._network, "--ip", f"10.213.{self._block}.253", "--publish", f"{here}:5000"),
            *("-v", f"{REGISTRY_VOLUME}:/registry", image.ensure("registry")),
        )
        for name in self._images:
            target = f"{here}/{name if '/' in name else f'library/{name}'}"
            docker("tag", name, target)
            try:
                _patiently(functools.partial(docker, "push", "--quiet", target))
            finally:
                docker("image", "rm", "--no-prune", target, check=False)

    def place(self, number: int, instance_id: str) -> Machine:
        """Where machine `number` (2 to 250) of this lab lives."""
        return Machine(
            name=f"{self._network}-{instance_id}",
            number=number,
            public_address=f"127.0.{self._block}.{number}",
            private_address=f"10.213.{self._block}.{number}",
            mac=f"02:42:0a:d5:{self._block:02x}:{number:02x}",
        )

    def describe(self, machine: Machine, served: dict[str, Any]) -> None:
        """What the metadata service tells this machine: hop_limit, user_data, meta_data, document."""
        target = self._folder / f"{machine.private_address}.json"
        partial = target.with_suffix(".partial")
        partial.write_text(json.dumps(served))
        partial.rename(target)

    def boot(
        self, machine: Machine, host_name: str, *, network: bool, ended: Callable[[], None], prepared: bool = False
    ) -> None:
        """Start the machine; `ended` is called once when it has powered off or died. `prepared`: Docker is in it."""
        with self._prepared:
            booted = image.ensure("machine-docker") if prepared else self._image
        address = ("--network", self._network, "--ip", machine.private_address)
        wires = (*address, "--publish", f"{machine.public_address}:22:22") if network else ("--network", "none")
        docker(
            *("run", "--detach", "--name", machine.name, *self._labels, "--hostname", host_name),
            *wires,
            *BOOT,
            booted,
        )

        def watch() -> None:
            docker("wait", machine.name, check=False)
            ended()

        threading.Thread(target=watch, name=f"watch {machine.name}", daemon=True).start()

    def close(self, machine: Machine, *, closed: bool) -> None:
        """Have the machine's port 22 drop new connections, or take them again. FleetError while it does not run."""
        rule = ("INPUT", "--protocol", "tcp", "--dport", "22", "--syn", "--jump", "DROP")
        docker("exec", machine.name, "iptables", "--wait", "--insert" if closed else "--delete", *rule)

    def freeze(self, machine: Machine, *, frozen: bool) -> None:
        """Have the machine stand still, or go on. FleetError while it does not run."""
        docker("pause" if frozen else "unpause", machine.name)

    def remove(self, machine: Machine) -> None:
        """End the machine and everything in it. Harmless when it is not there."""
        docker("rm", "--force", "--volumes", machine.name, check=False)
        (self._folder / f"{machine.private_address}.json").unlink(missing_ok=True)
        if docker("ps", "--all", "--quiet", "--filter", f"name=^{machine.name}$").strip():
            raise FleetError(f"{machine.name} could not be removed")


def _patiently(work: Callable[[], object], seconds: float = 120.0) -> None:
    """Again and again until it goes well: a registry needs a moment to listen."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            work()
        except FleetError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
        else:
            return


def remove_all(label: str, value: str) -> bool:
    """Remove every container and network with this label; False when there was nothing."""
    found = docker("ps", "--all", "--quiet", "--filter", f"label={label}={value}", check=False).split()
    if found:
        docker("rm", "--force", "--volumes", *found, check=False)
    networks = docker("network", "ls", "--quiet", "--filter", f"label={label}={value}", check=False).split()
    for network in networks:
        docker("network", "rm", network, check=False)
    return bool(found or networks)
