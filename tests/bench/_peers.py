# SPDX-License-Identifier: GPL-3.0-or-later
"""The peers that `up` and `exec` are measured against: the Dev Containers CLI, and one straight bash script.

Everything they need is fetched into build/bench: Node and @devcontainers/cli from the npm registry.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench._harness import BUILD, CHECKOUT, command

sys.path.insert(0, str(CHECKOUT / "tests" / "lab"))

from npm_registry import fetch_package

BASE_IMAGE = "node:22-bookworm"
PEER_IMAGE = "fuel-code-bench:devcontainer"
AGENT_PACKAGE = "@anthropic-ai/claude-code-linux-" + {"x86_64": "x64", "aarch64": "arm64"}.get(
    platform.machine(), "x64"
)
EXAMPLE = CHECKOUT / "examples" / "node-api"
STRAIGHT = Path(__file__).resolve().parent / "straight.sh"


def fetched(package: str, major: int | None = None) -> Path:
    """The unpacked newest release of an npm package, fetched once per checkout."""
    target = BUILD / package.replace("/", "-")
    if not target.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        fetch_package(package, major, partial, cache=BUILD)
        partial.rename(target)
    return target


def example_repository(folder: Path) -> Path:
    """examples/node-api as a git repository with one commit."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.invalid", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q", "-b", "main"), ("add", "-A"), ("commit", "-q", "-m", "Start")):
        command("git", *identity, *arguments, cwd=folder)
    return folder


def additional_ca() -> str:
    """This machine's own CA certificates, which a container does not know; empty on most machines."""
    folder = Path("/usr/local/share/ca-certificates")
    return "".join(path.read_text() for path in sorted(folder.rglob("*.crt"))) if folder.is_dir() else ""


@dataclass
class DevContainer:
    """Workspaces of the Dev Containers CLI, on the same base with the agent baked into the image beforehand."""

    folder: Path
    repository: Path
    argv: list[str] = field(init=False)
    containers: list[str] = field(default_factory=list)
    count: int = 0
    images: set[str] = field(default_factory=lambda: {PEER_IMAGE})

    def __post_init__(self) -> None:
        machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
        node = fetched(f"node-linux-{machine}", 22) / "bin" / "node"
        self.argv = [str(node), str(fetched("@devcontainers/cli") / "devcontainer.js")]

    def build_image(self) -> None:
        """The base with Claude Code and this machine's CA: what this peer would have cached."""
        context = self.folder / "image"
        context.mkdir()
        shutil.copy2(fetched(AGENT_PACKAGE) / "claude", context / "claude")
        (context / "ca.crt").write_text(additional_ca())
        (context / "Dockerfile").write_text(
            f"FROM {BASE_IMAGE}\n"
            "COPY ca.crt /usr/local/share/ca-certificates/bench.crt\n"
            "RUN update-ca-certificates\n"
            "COPY claude /usr/local/bin/claude\n"
            "RUN chmod 755 /usr/local/bin/claude\n"
            "ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt\n"
        )
        command("docker", "build", "-q", "-t", PEER_IMAGE, str(context), env={**os.environ, "DOCKER_BUILDKIT": "0"})

    @property
    def workspace(self) -> Path:
        return self.folder / f"workspace-{self.count}" / "node-api"

    def prepare(self) -> None:
        """A fresh clone: what `devcontainer up` mounts."""
        self.count += 1
        command("git", "clone", "-q", str(self.repository), str(self.workspace))
        settings = {
            "image": PEER_IMAGE,
            "remoteUser": "node",
            "postCreateCommand": "npm ci && claude --version",
        }
        (self.workspace / ".devcontainer.json").write_text(json.dumps(settings))
        # As it is for a person with the usual user id, who owns what is mounted.
        command("chown", "-R", "1000:1000", str(self.workspace))

    def up(self) -> None:
        output = command(*self.argv, "up", "--workspace-folder", str(self.workspace))
        result = json.loads(output.strip().splitlines()[-1])
        self.containers.append(str(result["containerId"]))
        self.images.add(command("docker", "inspect", "--format", "{{.Config.Image}}", self.containers[-1]).strip())

    def execute(self) -> None:
        command(*self.argv, "exec", "--workspace-folder", str(self.workspace), "true")

    def down(self) -> None:
        while self.containers:
            subprocess.run(["docker", "rm", "-f", "-v", self.containers.pop()], capture_output=True, check=False)

    def remove_images(self) -> None:
        """Its own, and the one that the CLI derives for the user's id."""
        subprocess.run(["docker", "rmi", *sorted(self.images, reverse=True)], capture_output=True, check=False)


@dataclass
class Straight:
    """straight.sh: the same steps with no product around them. `image` is the one that fuelctl derived, cached."""

    repository: Path
    image: str
    folder: Path
    count: int = 0

    def up(self, agent_url: str = "") -> None:
        """With `agent_url` the agent is fetched; without, it is there already."""
        self.count += 1
        command("bash", str(STRAIGHT), str(self.repository), self.image, self._name, str(self.folder), agent_url)

    @property
    def _name(self) -> str:
        return f"fuel-code-bench-straight-{self.count}"

    def down(self) -> None:
        while self.count:
            subprocess.run(["docker", "rm", "-f", "-v", self._name], capture_output=True, check=False)
            self.count -= 1
