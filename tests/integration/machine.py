# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of the machine share: environments on the real engine, ssh into them, and what is left of them."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuelctl._shared._dev_container._absent import absent, find_owned
from fuelctl._shared._dev_container._present import Outcome, present
from fuelctl._shared._dev_container._spec import Spec
from fuelctl._shared._docker import Docker
from fuelctl._shared._identity import container_names, environment_id_for
from fuelctl._shared._progress import Progress

CHECKOUT = Path(__file__).resolve().parents[2]
IMAGE = "debian:bookworm"
OWNER = "integration"
#: Seconds: less than a test has.
_PATIENCE = 540


def authorities() -> list[str]:
    """The controller's further authorities, as role dev_container passes them: so the derived image is shared."""
    return [path.read_text() for path in sorted(Path("/usr/local/share/ca-certificates").rglob("*.crt"))]


@dataclass
class Environment:
    """One environment of a test: `up()` as often as wanted, `end()` whatever happened."""

    folder: Path
    name: str = "it"
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.id = environment_id_for(OWNER, f"{self.name}-{secrets.token_hex(8)}")
        self.names = container_names(self.id)
        self.key = self.folder / "id_ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.progress = self.folder / "progress.jsonl"

    def parameters(self, **changes: Any) -> dict[str, Any]:
        """What `Spec.build` takes."""
        return {
            "environment_id": self.id,
            "owner": OWNER,
            "name": self.name,
            "image": IMAGE,
            "workspace": "my repo",
            "authorized_keys": [self.key.with_suffix(".pub").read_text()],
            "ca_certificates": authorities(),
            **self.options,
            **changes,
        }

    def up(self, *, check: bool = False, **changes: Any) -> Outcome:
        """Bring it up, as the module does."""
        progress = Progress("container", str(self.progress))
        outcome = present(Docker(), Spec.build(**self.parameters(**changes)), progress, check=check)
        self.steps = progress.steps
        if outcome.environment:
            self.made = outcome.environment
        return outcome

    def end(self) -> dict[str, Any]:
        """Take it down; its receipt."""
        _changed, receipt, _before = absent(Docker(), self.id, Progress("destroy"))
        return receipt

    def left(self) -> list[tuple[str, str]]:
        """(kind, name) of what the engine still has of it."""
        return find_owned(Docker(), self.id).lines()

    def ssh_command(self, *arguments: str, known: str | None = None, key: Path | None = None) -> list[str]:
        """`ssh` the way a person's configuration does it: pinned host key, no agent, no port."""
        hosts = self.folder / "known_hosts"
        hosts.write_text(f"environment {known or self.made['host_key']}\n")
        config = self.folder / "config"
        config.write_text(
            "Host environment\n"
            f"  User {self.made['user']}\n"
            f"  IdentityFile {key or self.key}\n"
            "  IdentitiesOnly yes\n"
            "  BatchMode yes\n"
            "  StrictHostKeyChecking yes\n"
            f"  UserKnownHostsFile {hosts}\n"
            f"  ProxyCommand docker exec -i {self.made['container']} /usr/sbin/sshd -i -f /etc/fuel-code/sshd_config\n"
        )
        return ["-F", str(config), *arguments]

    def ssh(self, command: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command inside."""
        words = ["ssh", *self.ssh_command("environment", command)]
        return subprocess.run(words, input=stdin or "", capture_output=True, text=True, timeout=300, check=False)


def docker(*arguments: str) -> str:
    """The engine's answer."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def ansible(*arguments: str, collections: Path, home: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    """One of Ansible's programs with this checkout as the collection, and nothing of the caller's configuration."""
    return ansible_within(_PATIENCE, arguments, collections=collections, home=home, **extra)


def ansible_within(
    seconds: float, arguments: Sequence[str], *, collections: Path, home: Path, **extra: str
) -> subprocess.CompletedProcess[str]:
    """The same, for what may take longer or has to be over sooner."""
    link = collections / "ansible_collections" / "fuel_code" / "remote"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(CHECKOUT)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": os.environ["ANSIBLE_SSH_CONTROL_PATH_DIR"],
        "USER": "integration",
        "LANG": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        **extra,
    }
    return subprocess.run(
        arguments, env=environment, cwd=home, capture_output=True, text=True, timeout=seconds, check=False
    )
