# SPDX-License-Identifier: GPL-3.0-or-later
"""fuelctl of this checkout and all that it needs: one tar archive of wheels, which a Debian installs by itself.

    python -m tests.lab.wheels      prints its path, of the one for Debian 12

What it needs is downloaded once for each set of requirements and kept in the user's cache; fuelctl is built each time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
#: What a Debian 12 and a Debian 13 run, whatever runs here.
BOOKWORM, TRIXIE = "3.11", "3.13"
_PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34")
_IN_USE_SECONDS = 3600


def archive(python: str = BOOKWORM) -> Path:
    """The archive for this Python; subprocess.CalledProcessError when it cannot be made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fuel-code-lab" / "wheels"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would write into the same folder
        return _archive(cache, python)


def _archive(cache: Path, python: str) -> Path:
    with tempfile.TemporaryDirectory(prefix="fuel-wheel-") as name:
        built = Path(name)
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), str(CHECKOUT)]
        subprocess.run(build, check=True, stdout=sys.stderr)
        [wheel] = built.glob("fuelctl-*.whl")
        needs = _needs(cache, wheel, python)
        result = cache / f"{needs.name}-{hashlib.sha256(wheel.read_bytes()).hexdigest()[:12]}.tar"
        if not result.exists():
            for old in cache.glob("*.tar"):
                # Somebody else may just be reading the one before.
                if time.time() - old.stat().st_mtime > _IN_USE_SECONDS:
                    old.unlink()
            draft = result.with_suffix(".new")
            with tarfile.open(draft, "w") as tar:
                for each in (wheel, *sorted(needs.iterdir())):
                    tar.add(each, each.name)
            draft.replace(result)
        return result


def _needs(cache: Path, wheel: Path, python: str) -> Path:
    """The folder of what this wheel needs."""
    digest = hashlib.sha256((CHECKOUT / "pyproject.toml").read_bytes()).hexdigest()[:12]
    suffix = "" if python == BOOKWORM else f"-{python}"
    folder = cache / f"{digest}{suffix}"
    if not folder.exists():
        for old in cache.iterdir():
            if old.is_dir() and not old.name.startswith(digest):
                shutil.rmtree(old)
        draft = cache / f"{folder.name}.new"
        fitting = [word for each in _PLATFORMS for word in ("--platform", f"{each}_{platform.machine()}")]
        download = ["download", "--quiet", "--only-binary=:all:", "--python-version", python, *fitting]
        command = [sys.executable, "-m", "pip", *download, "--dest", str(draft), f"{wheel}[ec2]"]
        subprocess.run(command, check=True, stdout=sys.stderr)
        (draft / wheel.name).unlink()
        draft.rename(folder)
    return folder


if __name__ == "__main__":
    print(archive())
