# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of the lab: made from the Debian archive when they are missing, named by what they are made of."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LAB = Path(__file__).resolve().parents[1]
CONTEXT = Path(__file__).resolve().parent / "machine"
AUTHORITIES = Path("/usr/local/share/ca-certificates")
#: What an instance boots: `machine`, as a fresh Debian AMI is, and `machine-trixie`, the same of the next Debian;
#: `machine-docker`, with an engine in it already. And `registry`, which stands in for Docker Hub.
KINDS = ("machine", "machine-trixie", "machine-docker", "registry")

_INSTALL = (
    "RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends {}"
    " && rm -rf /var/lib/apt/lists/*\n"
)
_REGISTRY = """\
version: 0.1
storage: {filesystem: {rootdirectory: /registry}, delete: {enabled: false}}
http: {addr: ":5000"}
"""


def _recipe(kind: str) -> str:
    if kind in ("machine", "machine-trixie"):
        return (CONTEXT / "Dockerfile").read_text().replace("FROM debian:bookworm", f"FROM {_base(kind)}")
    if kind == "machine-docker":
        return f"FROM {reference('machine')}\n" + _INSTALL.format("docker.io iptables")
    lines = " ".join(f"'{line}'" for line in _REGISTRY.splitlines())
    written = f"RUN printf '%s\\n' {lines} > /etc/registry.yml\n"
    return (
        "FROM debian:bookworm\n"
        + _INSTALL.format("docker-registry")
        + written
        + 'VOLUME /registry\nCMD ["docker-registry", "serve", "/etc/registry.yml"]\n'
    )


def _base(kind: str) -> str:
    return "debian:trixie" if kind == "machine-trixie" else "debian:bookworm"


def reference(kind: str = "machine") -> str:
    """`fuel-code-lab/<kind>:<version>`, the version being a digest of what it is made of."""
    digest = hashlib.sha256(_recipe(kind).encode())
    boots = kind in ("machine", "machine-trixie")
    for path in [*sorted(CONTEXT.iterdir()), *sorted(AUTHORITIES.glob("**/*.crt"))] if boots else []:
        if path.is_file():
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return f"fuel-code-lab/{kind}:{digest.hexdigest()[:12]}"


def ensure(kind: str = "machine") -> str:
    """Have the image on this machine's engine; subprocess.CalledProcessError, with what was said on stderr, if not."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fuel-code-lab"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "machine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would build the same image twice
        return _ensure(kind)


def _ensure(kind: str) -> str:
    name = reference(kind)
    if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
        return name
    if kind == "machine-docker":
        _ensure("machine")
    else:
        base = [sys.executable, str(LAB / "base_image.py"), _base(kind)]
        subprocess.run(base, check=True, stdout=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="fuel-code-lab-") as folder:
        context = Path(folder) / "context"
        shutil.copytree(CONTEXT, context, ignore=shutil.ignore_patterns("__pycache__"))
        (context / "authorities").mkdir()
        for path in AUTHORITIES.glob("**/*.crt"):
            shutil.copy(path, context / "authorities")
        (context / "Dockerfile").write_text(_recipe(kind))
        # A newer client without buildx has only this builder.
        environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
        build = ["docker", "build", "--quiet", "--tag", name, str(context)]
        subprocess.run(build, check=True, stdout=sys.stderr, stderr=sys.stderr, env=environment)
    return name


if __name__ == "__main__":
    print(ensure(*sys.argv[1:2]))
