# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines behind the API: one Docker container per running version, one Docker volume per volume and snapshot.

As on Fly.io, a machine's root file system begins anew with every start; what is on a volume stays, and a suspended
machine keeps both and its memory.
"""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.ec2.fleet import FleetError, docker, remove_all

#: One lab (a random word, so that its janitor takes nothing of the next lab), and its block of addresses.
LABEL = "fuel-code-lab.fly"
LABEL_BLOCK = "fuel-code-lab.fly.block"
#: Copies a volume into another one.
COPIER = "debian:bookworm"


@dataclass(frozen=True)
class Done:
    """What a command in a machine came to."""

    exit_code: int
    stdout: str
    stderr: str


class Engine:
    """Runs and removes the containers of one lab."""

    def __init__(self, lab: str, block: int) -> None:
        self._labels = ("--label", f"{LABEL}={lab}", "--label", f"{LABEL_BLOCK}={block}")
        self._block = block
        self._network = f"fuel-code-fly-{block}"

    def start(self) -> None:
        """The network. Whatever an earlier lab of this block left is removed first."""
        forget(LABEL_BLOCK, str(self._block))
        docker("network", "create", *self._labels, self._network)

    def name(self, machine_id: str) -> str:
        return f"{self._network}-{machine_id}"

    def digest(self, image: str) -> str:
        """The image's digest; FleetError when this machine's engine does not have it."""
        return docker("image", "inspect", "--format", "{{.Id}}", "--", image).strip()

    def run(
        self,
        machine_id: str,
        config: Mapping[str, Any],
        environment: Mapping[str, str],
        mounts: Mapping[str, str],
        ended: Callable[[int], None],
    ) -> str:
        """Start the machine's container from its image; its address. `ended` is called with its exit code.

        :param mounts: path in the machine -> volume id.
        """
        name = self.name(machine_id)
        docker("rm", "--force", "--volumes", name, check=False)
        init = config.get("init") or {}
        entrypoint: Sequence[str] = init.get("entrypoint") or []
        command = [*entrypoint[1:], *(init.get("exec") or init.get("cmd") or [])]
        # Values go by the client's own environment: a secret on a command line is everybody's.
        settings = [part for key in environment for part in ("--env", key)]
        volumes = [part for path, each in mounts.items() for part in ("--volume", f"{self.name(each)}:{path}")]
        create = [
            *("docker", "create", "--name", name, *self._labels, "--network", self._network, "--hostname", machine_id),
            *("--security-opt", "apparmor=unconfined", "--cap-add", "NET_ADMIN", "--init=false"),
            *settings,
            *volumes,
            *(("--entrypoint", entrypoint[0]) if entrypoint else ("--entrypoint", "") if init.get("exec") else ()),
            *("--", config["image"], *command),
        ]
        made = subprocess.run(
            create,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if made.returncode != 0:
            raise FleetError(f"docker create: {made.stderr.strip()}")
        self._put(name, config.get("files") or [], environment)
        docker("start", name)
        threading.Thread(target=self._watch, args=(name, ended), name=f"watch {name}", daemon=True).start()
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", "--format", form, name).strip()

    def _put(self, name: str, files: Sequence[Mapping[str, Any]], environment: Mapping[str, str]) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for each in files:
                encoded = each.get("raw_value") or environment.get(each.get("secret_name") or "", "")
                content = base64.b64decode(encoded)
                member = tarfile.TarInfo(each["guest_path"].lstrip("/"))
                member.size, member.mode = len(content), int(each.get("mode") or 0o644)
                archive.addfile(member, io.BytesIO(content))
        if files:
            subprocess.run(["docker", "cp", "-", f"{name}:/"], input=packed.getvalue(), check=True, capture_output=True)

    def _watch(self, name: str, ended: Callable[[int], None]) -> None:
        code = docker("wait", name, check=False).strip()
        ended(int(code) if code.isdigit() else 255)

    def stop(self, machine_id: str, signal: str, seconds: float) -> None:
        name = self.name(machine_id)
        docker("unpause", name, check=False)
        docker("kill", "--signal", signal, name, check=False)
        try:
            subprocess.run(["docker", "wait", name], capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            docker("kill", name, check=False)

    def signal(self, machine_id: str, signal: str) -> None:
        docker("kill", "--signal", signal, self.name(machine_id))

    def pause(self, machine_id: str) -> None:
        docker("pause", self.name(machine_id))

    def resume(self, machine_id: str) -> None:
        docker("unpause", self.name(machine_id))

    def remove(self, machine_id: str) -> None:
        docker("rm", "--force", "--volumes", self.name(machine_id), check=False)

    def execute(self, machine_id: str, command: Sequence[str], stdin: str, seconds: float) -> Done:
        argv = ["docker", "exec", "--interactive", self.name(machine_id), *command]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=seconds, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def make_volume(self, volume_id: str, copy_of: str = "") -> None:
        """A volume, empty or with what another one (or a snapshot) holds."""
        docker("volume", "create", *self._labels, self.name(volume_id))
        if copy_of:
            both = ("--volume", f"{self.name(copy_of)}:/from:ro", "--volume", f"{self.name(volume_id)}:/to")
            maker = Path(__file__).resolve().parents[1] / "base_image.py"
            subprocess.run([sys.executable, str(maker), COPIER], check=True, capture_output=True)
            docker("run", "--rm", *self._labels, *both, COPIER, "cp", "-a", "/from/.", "/to/")

    def remove_volume(self, volume_id: str) -> None:
        docker("volume", "rm", "--force", self.name(volume_id), check=False)


def forget(label: str, value: str) -> bool:
    """Remove every container, network and volume with this label; False when there was nothing."""
    found = remove_all(label, value)
    volumes = docker("volume", "ls", "--quiet", "--filter", f"label={label}={value}", check=False).split()
    if volumes:
        docker("volume", "rm", "--force", *volumes, check=False)
    return found or bool(volumes)
