# SPDX-License-Identifier: GPL-3.0-or-later
"""images/dev on this machine's engine: built when it is missing, named by what it is made of, and kept.

    python3 tests/lab/dev_image.py [base|remote]

Where this machine has certificates of its own (its network opens TLS), a layer on top of `remote` trusts them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

LAB = Path(__file__).resolve().parent
CONTEXT = LAB.parents[1] / "images" / "dev"
AUTHORITIES = Path("/usr/local/share/ca-certificates")
BASES = ("debian:bookworm", "node:22-bookworm")
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


def reference(stage: str) -> str:
    """`fuel-code-lab/dev-<stage>:<version>`, the version being a digest of what it is made of."""
    digest = hashlib.sha256()
    for path in [*sorted(CONTEXT.rglob("*")), *_authorities()]:
        if path.is_file():
            digest.update(f"{path.name}\0{path.stat().st_mode}\0".encode() + path.read_bytes())
    return f"fuel-code-lab/dev-{stage}:{digest.hexdigest()[:12]}"


def ensure(stage: str = "remote") -> str:
    """Have the image on this machine's engine; subprocess.CalledProcessError, with what was said on stderr, if not."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fuel-code-lab"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "dev-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would build the same image twice
        name = reference(stage)
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode:
            subprocess.run([sys.executable, str(LAB / "base_image.py"), *BASES], check=True, stdout=sys.stderr)
            build(stage, name)
        return name


def build(stage: str, name: str, *arguments: str) -> None:
    """Build the stage as it is shipped, and what this machine's network needs on top of `remote`."""
    _build("--tag", name, "--target", stage, *arguments, str(CONTEXT))
    if stage != "remote" or not _authorities():
        return
    with tempfile.TemporaryDirectory(prefix="fuel-code-lab-") as folder:
        for path in _authorities():
            shutil.copy(path, folder)
        trusted = ("NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
        lines = [
            f"FROM {name}",
            "COPY *.crt /usr/local/share/ca-certificates/",
            "RUN update-ca-certificates",
            f"ENV {' '.join(f'{each}={_BUNDLE}' for each in trusted)} FUEL_SESSION_VARIABLES={','.join(trusted)}",
        ]
        (Path(folder) / "Dockerfile").write_text("\n".join(lines) + "\n")
        _build("--tag", name, folder)


def _authorities() -> list[Path]:
    return sorted(AUTHORITIES.rglob("*.crt"))


def _build(*arguments: str) -> None:
    # A newer client without buildx has only this builder.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    command = ["docker", "build", "--quiet", *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr, stderr=sys.stderr, env=environment)


if __name__ == "__main__":
    print(ensure(*sys.argv[1:2]))
