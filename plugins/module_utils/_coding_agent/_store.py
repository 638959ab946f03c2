# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The store of agents: one Docker volume per machine, one folder per version, read-only in every environment."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tarfile
import time
from contextlib import contextmanager
from typing import IO, Callable, Iterator, Optional, cast

from .._docker import Docker
from .._errors import FuelError
from .._identity import TAG_CACHE
from .._inside import architecture as architecture_here
from ._registry import Package, Registry, download, unreachable

VOLUME = "fuel-code-agents"
#: Where environments see the volume.
MOUNT = "/opt/fuel-code/agents"
#: An image without content: a container of it is never started, it only lets `docker cp` reach the volume.
_CARRIER_IMAGE = "fuel-code/carrier:1"
_CARRIER_LABEL = "fuel-code:carrier"
#: Seconds for which what `latest` meant is believed.
_LATEST_FOR = 6 * 3600
_LOCK_TIMEOUT = 1800.0
#: Seconds, roughly, for which an engine that is being installed is waited for.
_ENGINE_TURNS = 600

Say = Callable[[str], None]


class Store:
    """Agents on one engine. `folder` (0700) holds locks, partial downloads and what `latest` meant."""

    def __init__(self, docker: Docker, registry: Registry, folder: Optional[str] = None) -> None:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        self._docker = docker
        self._registry = registry
        self._folder = folder or os.path.join(base, "fuel-code", "agents")
        self._volume: Optional[str] = None
        self._asked = ""

    def architecture(self) -> str:
        """The engine's, as Docker names it."""
        return self._docker.call(["version", "--format", "{{.Server.Arch}}"], timeout=30).text

    def resolve(self, package: Package, version: str, clock: Callable[[], float] = time.time) -> str:
        """The exact version; `latest` is asked for once and then believed for six hours."""
        self._asked = version
        if version != "latest":
            return version
        digest = hashlib.sha256(self._registry.url.encode("utf-8")).hexdigest()[:12]
        known = os.path.join(self._private(), f"latest-{package.name}-{digest}.json")
        remembered = _read_latest(known)
        if remembered is not None and 0 <= clock() - remembered[1] < _LATEST_FOR:
            return remembered[0]
        with self.lock("latest"):
            remembered = _read_latest(known)
            if remembered is not None and 0 <= clock() - remembered[1] < _LATEST_FOR:
                return remembered[0]
            try:
                # Every platform has every version; which one is asked does not matter.
                found = self._registry.release(package.for_platform("amd64"), "latest").version
            except FuelError as error:
                if remembered is None or error.code != "registry_unreachable":
                    raise
                return remembered[0]
            with open(known + ".new", "w", encoding="utf-8") as stream:
                json.dump({"version": found, "at": clock()}, stream)
            os.replace(known + ".new", known)
        return found

    def path(self, package: Package, version: str) -> str:
        """Where environments find the binary."""
        return f"{MOUNT}/{package.name}/{version}/{package.binary}"

    def has(self, package: Package, version: str) -> bool:
        """Whether the volume is known to hold this version."""
        changed, mountpoint = self._volume_facts()
        direct = os.path.join(mountpoint, package.name, version, package.binary)
        if os.path.exists(direct):
            return True
        try:
            with open(self._receipt(package, version), encoding="utf-8") as stream:
                return stream.read() == changed
        except OSError:
            return False

    def fetch(self, package: Package, version: str, say: Say) -> bool:
        """Have the version in the volume; true when it had to be fetched. Two at once fetch it once."""
        if self._seen(package, version):
            return False
        with self.lock(f"{package.name}-{version}"):
            # Whoever held the lock may have changed it.
            self._volume = None
            if self._seen(package, version):
                return False
            staged = self._staged(package, version)
            if not os.path.exists(staged):
                self._download(package, version, self.architecture(), say)
            self.put(package, version, staged)
            if os.path.exists(staged):
                os.unlink(staged)
            self._seen(package, version)
        return True

    def fetch_ahead(self, package: Package, version: str, sleep: Callable[[float], None] = time.sleep) -> None:
        """As `fetch`, where the engine may still be being installed: the download does not wait for it."""
        architecture = architecture_here()
        if architecture and not self._engine_answers():
            with self.lock(f"{package.name}-{version}"):
                if not os.path.exists(self._staged(package, version)):
                    self._download(package, version, architecture, _silently)
            for _turn in range(_ENGINE_TURNS):
                if self._engine_answers():
                    break
                sleep(1.0)
        self.fetch(package, version, _silently)

    def _engine_answers(self) -> bool:
        try:
            return bool(self.architecture())
        except FuelError:
            return False

    def _staged(self, package: Package, version: str) -> str:
        return os.path.join(self._private(), f"{package.name}-{version}")

    def _download(self, package: Package, version: str, architecture: str, say: Say) -> None:
        release = self._registry.release(package.for_platform(architecture), version)
        temporary = self._staged(package, version) + ".new"
        download(self._registry, release, package.member, temporary, _Percent(say).told)
        os.replace(temporary, self._staged(package, version))

    def _seen(self, package: Package, version: str) -> bool:
        """`has`, the answer left as files: where they are, fetching ahead would be in vain, most likely."""
        found = self.has(package, version)
        for name in sorted({version, self._asked or version}):
            hint = os.path.join(self._private(), f"{package.name}-{name}.seen")
            if found:
                with open(hint, "a", encoding="utf-8"):
                    os.utime(hint)
            elif os.path.exists(hint):
                os.unlink(hint)
        return found

    def put(self, package: Package, version: str, binary: str) -> None:
        """Bring a binary into the volume, there whole or not at all: moved where that costs nothing, else copied."""
        mountpoint = self._volume_facts()[1]
        if self._engine_is_here() and os.access(mountpoint, os.W_OK | os.X_OK):
            folder = os.path.join(mountpoint, package.name, version)
            os.makedirs(folder, mode=0o755, exist_ok=True)
            target = os.path.join(folder, package.binary)
            try:
                os.rename(binary, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise _not_stored(error, target) from error
                _copy(binary, target + ".new")
                os.replace(target + ".new", target)
            return
        self._carry(package, version, binary)
        # Who cannot look into the volume remembers it by its time: another volume of that name has another one.
        self._volume = None
        with open(self._receipt(package, version), "w", encoding="utf-8") as stream:
            stream.write(self._volume_facts()[0])

    def _carry(self, package: Package, version: str, binary: str) -> None:
        """Through `docker cp`, for whoever cannot write where the engine keeps its volumes."""
        if not self._docker.inspect([_CARRIER_IMAGE], kind="image"):
            label = f'LABEL "{TAG_CACHE}"="true"'
            self._docker.call(["import", "--change", label, "-", _CARRIER_IMAGE], stdin=bytes(1024))
        # What a killed run left; only one of us is here at a time.
        for old in self._docker.call(["ps", "--all", "--quiet", "--filter", f"label={_CARRIER_LABEL}"]).text.split():
            self._docker.call(["rm", "--force", "--", old], check=False)
        create = ["create", "--label", f"{TAG_CACHE}=true", "--label", f"{_CARRIER_LABEL}=true", "--network", "none"]
        carrier = self._docker.call([*create, "--volume", f"{VOLUME}:/agents", _CARRIER_IMAGE, "/none"]).text
        try:
            folder = f"{package.name}/{version}"
            self._docker_cp(carrier, lambda stream: _write_parts(stream, package, folder, binary))
        finally:
            self._docker.call(["rm", "--force", "--", carrier], check=False)

    def _docker_cp(self, carrier: str, write: Callable[[IO[bytes]], None]) -> None:
        import subprocess

        argv = ["docker", "cp", "-", f"{carrier}:/agents"]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            pipe, errors = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stderr)
            try:
                write(pipe)
                pipe.close()
            except BrokenPipeError:
                pass
            said = errors.read().decode("utf-8", "replace").strip()
        if process.returncode:
            raise FuelError(f"cannot store the agent: {said[-300:]}", where=VOLUME, code="store_failed")

    def _volume_facts(self) -> "tuple[str, str]":
        """(when its top folder last changed, where the engine keeps it); made when it is not there."""
        if self._volume is None:
            show = ["volume", "inspect", "--format", "{{.CreatedAt}}\n{{.Mountpoint}}", VOLUME]
            found = self._docker.call(show, check=False, timeout=60)
            if found.returncode:
                self._docker.call(["volume", "create", "--label", f"{TAG_CACHE}=true", VOLUME], timeout=60)
                found = self._docker.call(show, timeout=60)
            self._volume = found.text
        changed, dummy, mountpoint = self._volume.partition("\n")
        return changed, mountpoint

    def _engine_is_here(self) -> bool:
        shown = self._docker.call(
            ["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], check=False, timeout=30
        )
        host = os.environ.get("DOCKER_HOST") or shown.text
        return host.startswith("unix://")

    def _receipt(self, package: Package, version: str) -> str:
        return os.path.join(self._private(), f"{package.name}-{version}.stored")

    def _private(self) -> str:
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise FuelError(
                f"cannot use the cache folder: {error.strerror}", where=self._folder, code="cache_folder"
            ) from error
        return self._folder

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Held by one process at a time; let go of by its death as well."""
        path = os.path.join(self._private(), f"{name}.lock")
        deadline = time.monotonic() + _LOCK_TIMEOUT
        with open(path, "a", encoding="utf-8") as stream:
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise FuelError(
                            "another run has been fetching the agent for half an hour", where=path, code="locked"
                        ) from None
                    time.sleep(0.05)
            yield


class MachineStore(Store):
    """Agents on a machine that is the environment itself: no engine, and a folder instead of a volume."""

    def architecture(self) -> str:
        """The machine's own."""
        found = architecture_here()
        if not found:
            raise FuelError("there is no agent for this machine's architecture", code="no_architecture")
        return found

    def _volume_facts(self) -> "tuple[str, str]":
        # Whatever is there can be seen: nothing has to be remembered of it.
        return "", MOUNT

    def _engine_is_here(self) -> bool:
        return True

    def _carry(self, package: Package, version: str, binary: str) -> None:
        refused = PermissionError(errno.EACCES, f"only root can put {os.path.basename(binary)} there")
        raise _not_stored(refused, os.path.dirname(self.path(package, version)))


def _silently(_text: str) -> None:
    """Nobody listens any more."""


def _read_latest(path: str) -> "Optional[tuple[str, float]]":
    try:
        with open(path, encoding="utf-8") as stream:
            known = json.load(stream)
        return str(known["version"]), float(known["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


class _Percent:
    """Says every tenth of a download."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told = -1

    def told(self, done: int, total: int) -> None:
        tenth = done * 10 // total if total else 0
        if tenth > self._told:
            self._told = tenth
            self._say(f"{done / 1e6:.0f} of {total / 1e6:.0f} MB\n")


def _copy(origin: str, target: str) -> None:
    import shutil

    try:
        shutil.copy(origin, target)
        with open(target, "rb") as stream:
            os.fsync(stream.fileno())
    except OSError as error:
        raise _not_stored(error, target) from error


def _not_stored(error: OSError, target: str) -> FuelError:
    return FuelError(f"cannot store the agent: {error.strerror}", where=target, code="store_failed")


def _write_parts(stream: IO[bytes], package: Package, folder: str, binary: str) -> None:
    """The binary under another name first, then a hard link to it: the link appears at once, with everything in it."""
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for part in (package.name, folder):
            directory = tarfile.TarInfo(part)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(directory)
        member = tarfile.TarInfo(f"{folder}/.{package.binary}")
        member.size, member.mode = os.path.getsize(binary), 0o755
        with open(binary, "rb") as content:
            archive.addfile(member, content)
        link = tarfile.TarInfo(f"{folder}/{package.binary}")
        link.type, link.linkname, link.mode = tarfile.LNKTYPE, f"{folder}/.{package.binary}", 0o755
        archive.addfile(link)


__all__ = ["MOUNT", "VOLUME", "Store", "unreachable"]
