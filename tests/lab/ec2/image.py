# SPDX-License-Identifier: GPL-3.0-or-later
"""The image that instances boot: made from the Debian archive when it is missing, named by what it is made of."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

LAB = Path(__file__).resolve().parents[1]
CONTEXT = Path(__file__).resolve().parent / "machine"
REPOSITORY = "fuel-code-lab/machine"


def reference() -> str:
    """`fuel-code-lab/machine:<version>`, the version being a digest of the recipe."""
    digest = hashlib.sha256()
    for path in sorted(CONTEXT.iterdir()):
        if path.is_file():
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return f"{REPOSITORY}:{digest.hexdigest()[:12]}"


def ensure() -> str:
    """Have the image on this machine's engine; subprocess.CalledProcessError, with what was said on stderr, if not."""
    name = reference()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fuel-code-lab"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "machine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would build the same image twice
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode != 0:
            base = [sys.executable, str(LAB / "base_image.py"), "debian:bookworm"]
            subprocess.run(base, check=True, stdout=sys.stderr)
            # A newer client without buildx has only this builder.
            environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
            build = ["docker", "build", "--quiet", "--tag", name, str(CONTEXT)]
            subprocess.run(build, check=True, stdout=sys.stderr, stderr=subprocess.DEVNULL, env=environment)
    return name
