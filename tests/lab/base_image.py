# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes sure that the base images of tests, demo and benchmarks exist on this machine's Docker engine.

    python3 tests/lab/base_image.py [REFERENCE ...]     (default: debian:bookworm node:22-bookworm python:3.11-bookworm)

An image that is there is used. Otherwise it is pulled; where no registry answers, a stand-in is made from the Debian
archive (debootstrap) and, for Node, from the npm registry's packages `node-linux-*` and `npm`. A stand-in bears the
label `fuel-code-lab.stand-in` with the sentence that this program prints, and leaves out what official images carry for
building (compilers, headers). Needs only Python's standard library: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from npm_registry import RegistryError, fetch_package

LABEL = "fuel-code-lab.stand-in"
DEFAULT = ("debian:bookworm", "node:22-bookworm", "python:3.11-bookworm")
MIRROR = "http://deb.debian.org/debian"

#: Seconds until a registry must have named the image's first layer. The download itself may take its time.
REGISTRY_PATIENCE = 20
PULL_LIMIT = 1800


class LabError(Exception):
    """One line for a person: what cannot be had, and what to do."""


def cache_folder() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = root / "fuel-code-lab"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def run(*argv: str, environment: dict[str, str] | None = None) -> str:
    """The command's output; a failure ends as LabError with the last lines it said."""
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, check=False)
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise LabError(f"{' '.join(argv[:3])} ... failed ({done.returncode}):\n{tail}")
    return done.stdout


def exists(reference: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", reference], capture_output=True, check=False).returncode == 0


def stand_in_note(reference: str) -> str | None:
    """The sentence on a stand-in's label, or None for an image that somebody else made."""
    template = f'{{{{with .Config.Labels}}}}{{{{index . "{LABEL}"}}}}{{{{end}}}}'
    return run("docker", "image", "inspect", "--format", template, reference).strip() or None


def pull(reference: str) -> bool:
    """True when a registry gave the image. False soon when none answers, is not allowed, or has no such image."""
    process = subprocess.Popen(
        ["docker", "pull", reference],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    answered = threading.Event()

    lines = process.stdout

    def watch() -> None:
        for _line in lines:
            answered.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        try:
            process.wait(timeout=REGISTRY_PATIENCE)
        except subprocess.TimeoutExpired:
            if not answered.is_set():
                return False
            process.wait(timeout=PULL_LIMIT)
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    return process.returncode == 0


def archive(kind: str) -> str | None:
    """The address of `debian` or `debian-security` that this machine's apt uses already, None when it uses none."""
    pattern = re.compile(rf"^(?:URIs:|deb(?: \[.*?\])?)\s+(http://\S*/{kind})/?(?:\s|$)", re.MULTILINE)
    for path in (Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))):
        if path.suffix in {".list", ".sources"} and path.is_file() and (found := pattern.search(path.read_text())):
            return found.group(1)
    return None


def debian_tarball(suite: str) -> Path:
    """The root file system of Debian's minimal variant, as in the official image; made once and kept in the cache."""
    tarball = cache_folder() / f"debian-{suite}-{platform.machine()}.tar"
    if tarball.exists():
        return tarball
    if os.geteuid() != 0:
        raise LabError(
            "making a Debian image needs root (debootstrap): run this as root once, or load the image by hand"
        )
    debootstrap = shutil.which("debootstrap") or shutil.which("debootstrap", path="/usr/sbin:/sbin")
    if debootstrap is None:
        raise LabError("debootstrap is missing: apt-get install debootstrap")
    with tempfile.TemporaryDirectory(prefix="fuel-code-lab-") as folder:
        root = Path(folder) / "root"
        run(debootstrap, "--variant=minbase", suite, str(root), archive("debian") or MIRROR)
        _make_like_official(root, suite)
        partial = tarball.with_suffix(".partial")
        run(
            "tar",
            "--numeric-owner",
            "--one-file-system",
            "--exclude=./dev/*",
            "-C",
            str(root),
            "-cf",
            str(partial),
            ".",
        )
        partial.rename(tarball)
    return tarball


def _make_like_official(root: Path, suite: str) -> None:
    """What the official image's makers do to a fresh root: three archives, no services started, no package lists."""
    debian, security = archive("debian") or MIRROR, archive("debian-security")
    lines = [f"deb {debian} {suite} main", f"deb {debian} {suite}-updates main"]
    if security:
        lines.append(f"deb {security} {suite}-security main")
    (root / "etc/apt/sources.list").write_text("\n".join(lines) + "\n")
    (root / "etc/apt/apt.conf.d/docker-clean").write_text(
        'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\n'
        'Acquire::Languages "none";\nApt::AutoRemove::SuggestsImportant "false";\n'
    )
    (root / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True, exist_ok=True)
    (root / "etc/dpkg/dpkg.cfg.d/docker-apt-speedup").write_text("force-unsafe-io\n")
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    for pattern in ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*", "var/log/*.log", "var/log/apt/*"):
        for leftover in root.glob(pattern):
            if leftover.is_file():
                leftover.unlink()
    for private in ("etc/resolv.conf", "etc/hostname", "etc/machine-id"):
        (root / private).unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")


def make_debian(reference: str, note: str) -> None:
    tarball = debian_tarball(reference.removeprefix("debian:").removesuffix("-slim"))
    change = ["--change", f'LABEL {LABEL}="{note}"', "--change", 'CMD ["bash"]']
    run("docker", "import", *change, str(tarball), reference)


def build(reference: str, note: str, lines: list[str], context: Path) -> None:
    (context / "Dockerfile").write_text("\n".join(["FROM debian:bookworm", f'LABEL {LABEL}="{note}"', *lines]) + "\n")
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}  # a newer client without buildx has only this builder
    run("docker", "build", "--tag", reference, str(context), environment=environment)


def packages(*names: str) -> str:
    return (
        "RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "
        f"{' '.join(names)} && rm -rf /var/lib/apt/lists/*"
    )


#: Of the many packages of the official `buildpack-deps` those that people reach for without thinking.
COMMON = ("ca-certificates", "curl", "git", "netbase", "openssh-client", "procps", "unzip", "wget", "xz-utils")


def make_node(reference: str, note: str) -> None:
    """Node and npm come from the npm registry, fetched outside: the container trusts no CA of this machine's own."""
    ensure("debian:bookworm")
    major = int(reference.removeprefix("node:").partition("-")[0])
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    with tempfile.TemporaryDirectory(prefix="fuel-code-lab-") as folder:
        context = Path(folder)
        version = fetch_package(f"node-linux-{machine}", major, context / "node", cache=cache_folder())
        fetch_package("npm", 11 if major >= 24 else 10, context / "npm", cache=cache_folder())
        lines = [
            packages(*COMMON, "python3-minimal"),
            f"ENV NODE_VERSION={version}",
            "RUN groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node",
            "COPY node/bin/node /usr/local/bin/node",
            "COPY npm /usr/local/lib/node_modules/npm",
            "RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm"
            " && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx"
            " && ln -s node /usr/local/bin/nodejs && chmod 755 /usr/local/lib/node_modules/npm/bin/*.js"
            " && node --version && npm --version",
            'CMD ["node"]',
        ]
        build(reference, note, lines, context)


def make_python(reference: str, note: str) -> None:
    """Debian's own Python 3.11 where the official image has its self-built one: /usr/local/bin/python3, pip, venv."""
    ensure("debian:bookworm")
    with tempfile.TemporaryDirectory(prefix="fuel-code-lab-") as folder:
        lines = [
            packages(*COMMON, "python3", "python3-pip", "python3-venv"),
            "ENV LANG=C.UTF-8",
            "RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED && for name in python python3 python3.11;"
            " do ln -s /usr/bin/python3.11 /usr/local/bin/$name; done"
            " && for name in pip pip3; do ln -s /usr/bin/pip3 /usr/local/bin/$name; done && pip --version",
            'CMD ["python3"]',
        ]
        build(reference, note, lines, Path(folder))


RECIPES: tuple[tuple[str, Callable[[str, str], None], str], ...] = (
    (r"debian:bookworm(-slim)?", make_debian, "Debian 12 from the Debian archive by debootstrap"),
    (r"debian:trixie(-slim)?", make_debian, "Debian 13 from the Debian archive by debootstrap"),
    (r"node:\d+-bookworm(-slim)?", make_node, "Debian 12 from the Debian archive, Node and npm from the npm registry"),
    (
        r"python:3\.11-bookworm|python:3\.11-slim-bookworm",
        make_python,
        "Debian 12 and its Python 3.11 from the Debian archive",
    ),
)


def ensure(reference: str) -> str:
    """Have `reference` on the engine and say in one line where it came from."""
    if exists(reference):
        note = stand_in_note(reference)
        return f"{reference}: there already" + (f" ({note})" if note else "")
    if pull(reference):
        return f"{reference}: pulled"
    for pattern, make, origin in RECIPES:
        if re.fullmatch(pattern, reference):
            note = f"stand-in: {origin}, not the official image"
            make(reference, note)
            return f"{reference}: no registry gave it; made a {note}"
    raise LabError(f"{reference}: no registry gave it, and there is no recipe for a stand-in")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("references", nargs="*", default=list(DEFAULT), metavar="REFERENCE")
    options = parser.parse_args()
    try:
        run("docker", "version", "--format", "{{.Server.Version}}")
        with (cache_folder() / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would build the same image twice
            for reference in options.references:
                print(ensure(reference), flush=True)
    except (LabError, RegistryError, OSError, urllib.error.URLError) as error:
        print(f"base_image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
