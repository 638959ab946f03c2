# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The npm registry: which version an agent has, and its native binary, verified and streamed to a file."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import re
import tarfile
import time
import urllib.error
import zlib
from dataclasses import dataclass
from typing import Any, Callable, Dict, Optional, Tuple
from urllib.parse import quote, urlsplit

from .._errors import FuelError, UsageError

DEFAULT_REGISTRY = "https://registry.npmjs.org"
#: Bytes: of a metadata document, of a package, of the binary in it.
_METADATA_LIMIT, _PACKAGE_LIMIT, _BINARY_LIMIT = 4 << 20, 1 << 30, 2 << 30
_TIMEOUT = 30.0
_ATTEMPTS = 5
_BLOCK = 1 << 20

#: Ansible's `open_url`: (url, headers=, timeout=, decompress=) -> an open HTTP answer. It knows proxies and CAs.
OpenUrl = Callable[..., Any]
#: (bytes so far, bytes in all; 0 when unknown)
OnBytes = Callable[[int, int], None]


@dataclass(frozen=True)
class Package:
    """How an agent is published: one package with a native binary per platform."""

    name: str
    package: str
    member: str
    binary: str

    def for_platform(self, architecture: str) -> str:
        """The package's name for a Docker architecture (`amd64`, `arm64`)."""
        known = {"amd64": "x64", "x86_64": "x64", "arm64": "arm64", "aarch64": "arm64"}
        if architecture not in known:
            raise FuelError(
                f"{self.name} has no binary for {architecture}", hint="use amd64 or arm64", code="no_platform"
            )
        return self.package.format(arch=known[architecture])


PACKAGES: Dict[str, Package] = {
    "claude-code": Package("claude-code", "@anthropic-ai/claude-code-linux-{arch}", "package/claude", "claude"),
}


@dataclass(frozen=True)
class Release:
    """One version on one platform."""

    version: str
    tarball: str
    integrity: str


def package_of(name: str) -> Package:
    """The agent of this name; UsageError names the known ones."""
    if name not in PACKAGES:
        raise UsageError(
            f"there is no agent {name[:60]!r}", hint=f"known: {', '.join(sorted(PACKAGES))}", code="no_such_agent"
        )
    return PACKAGES[name]


def check_version(version: str) -> str:
    """`latest` or an exact version, unchanged."""
    if version != "latest" and not re.fullmatch(r"\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]{1,40})?", version):
        raise UsageError(f"{version[:60]!r} is no agent version", hint="latest or x.y.z", code="bad_version")
    return version


class Registry:
    """One npm registry over HTTP."""

    def __init__(self, open_url: OpenUrl, url: Optional[str] = None) -> None:
        self.open_url = open_url
        chosen = (
            url or os.environ.get("NPM_CONFIG_REGISTRY") or os.environ.get("npm_config_registry") or DEFAULT_REGISTRY
        )
        parts = urlsplit(chosen)
        if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\x00-\x20]", chosen):
            raise UsageError(
                "the npm registry is no http(s) address", hint=f"for example {DEFAULT_REGISTRY}", code="bad_registry"
            )
        self.url = chosen.rstrip("/")
        self._secure = parts.scheme == "https"

    def release(self, package: str, version: str) -> Release:
        """Look a version up; `latest` is what the registry calls so."""
        document = self._json(f"{self.url}/{quote(package, safe='@')}/{quote(version, safe='')}", package, version)
        dist = document.get("dist")
        dist = dist if isinstance(dist, dict) else {}
        found = str(document.get("version", ""))
        tarball, integrity = str(dist.get("tarball", "")), str(dist.get("integrity", ""))
        scheme = urlsplit(tarball).scheme
        if scheme != "https" and (self._secure or scheme != "http"):
            raise FuelError(
                f"{package} {version}: the registry names no https download", where=self.url, code="registry_answer"
            )
        if "sha512-" not in integrity or found != check_version(found) or found == "latest":
            raise FuelError(
                f"{package} {version}: the registry's answer lacks version or sha512",
                where=self.url,
                code="registry_answer",
            )
        return Release(found, tarball, integrity)

    def _json(self, url: str, package: str, version: str) -> Dict[str, Any]:
        try:
            with _open(self.open_url, url, {"Accept": "application/json"}) as answer:
                body = answer.read(_METADATA_LIMIT + 1)
        except urllib.error.HTTPError as error:
            with error:
                code = error.code
            if code in (404, 405):
                raise FuelError(
                    f"{package} has no version {version}",
                    where=self.url,
                    hint="name one that has a native binary (2.1.113 or newer), or latest",
                    code="no_such_version",
                ) from error
            raise FuelError(f"the npm registry answered {code}", where=self.url, code="registry_answer") from error
        except (OSError, http.client.HTTPException) as error:
            raise unreachable(self.url, error) from error
        try:
            document = json.loads(body)
        except ValueError as error:
            raise FuelError(
                "the npm registry answered with something else than JSON", where=self.url, code="registry_answer"
            ) from error
        if len(body) > _METADATA_LIMIT or not isinstance(document, dict):
            raise FuelError(
                "the npm registry's answer is not what it should be", where=self.url, code="registry_answer"
            )
        return document


def unreachable(url: str, error: BaseException) -> FuelError:
    """The error for a registry that does not answer."""
    reason = getattr(error, "reason", None) or error
    return FuelError(
        f"the npm registry cannot be reached: {str(reason)[:200]}",
        where=url,
        hint="look at the machine's network and proxy, or set another registry",
        code="registry_unreachable",
    )


def _open(open_url: OpenUrl, url: str, headers: Dict[str, str]) -> Any:
    # Only http(s) gets here: Registry checks its own address and the tarball's.
    return open_url(url, headers=headers, timeout=_TIMEOUT, decompress=False)


def download(registry: Registry, release: Release, member: str, target: str, on_bytes: OnBytes) -> None:
    """Stream the package, verify its sha512 and write its `member` to `target`.

    What was received is kept in `<target>.part`, so that a broken download goes on where it stopped.
    """
    for _attempt in range(2):
        body = _Body(registry.open_url, release.tarball, target + ".part", on_bytes)
        if _unpack_verified(body, release, member, target):
            return
    raise FuelError(
        "the agent's package is damaged, or does not have the checksum that the registry states",
        where=release.tarball,
        hint="a proxy may have changed it; try again or set another registry",
        code="package_damaged",
    )


def _unpack_verified(body: "_Body", release: Release, member: str, target: str) -> bool:
    """Whether the package came whole; what was received of a damaged one is thrown away."""
    try:
        _unpack(body, member, target)
        good = body.sha512 in _digests(release.integrity)
    except (tarfile.TarError, EOFError, zlib.error):
        good = False
    except OSError as error:
        reason = error.strerror or error
        raise FuelError(f"cannot store the agent: {reason}", where=target, code="store_failed") from error
    finally:
        body.close()
    _forget(target + ".part")
    if not good:
        _forget(target)
    return good


def _digests(integrity: str) -> Tuple[str, ...]:
    return tuple(part[len("sha512-") :].split("?")[0] for part in integrity.split() if part.startswith("sha512-"))


def _forget(*files: str) -> None:
    for path in files:
        if os.path.exists(path):
            os.unlink(path)


def _unpack(body: "_Body", member: str, target: str) -> None:
    source: Any = body
    with tarfile.open(fileobj=source, mode="r|gz", bufsize=_BLOCK) as archive:
        found = False
        for entry in archive:
            if entry.name != member or not entry.isfile():
                continue
            if entry.size > _BINARY_LIMIT:
                raise tarfile.TarError("the binary is larger than 2 GiB")
            content: Any = archive.extractfile(entry)
            with open(target, "wb") as stream:
                while True:
                    block = content.read(_BLOCK)
                    if not block:
                        break
                    stream.write(block)
                stream.flush()
                # Everybody on the machine runs the same copy.
                os.fchmod(stream.fileno(), 0o755)
                os.fsync(stream.fileno())
            found = True
    if not found:
        raise tarfile.TarError(f"it holds no {member}")
    body.drain()


class _Body:
    """A package's bytes: first what an earlier try kept, then the network's, all of it hashed and kept."""

    def __init__(self, open_url: OpenUrl, url: str, partial: str, on_bytes: OnBytes) -> None:
        self._open_url = open_url
        self._url = url
        self._on_bytes = on_bytes
        self._hash = hashlib.sha512()
        self._file = open(partial, "a+b")  # noqa: SIM115 - closed by close()
        self._file.seek(0)
        self._kept = os.path.getsize(partial)
        self._at = 0
        self._total = 0
        self._answer: Any = None
        self._failures = 0

    @property
    def sha512(self) -> str:
        """Of everything read so far, as npm writes it."""
        return base64.b64encode(self._hash.digest()).decode("ascii")

    def read(self, size: int) -> bytes:
        """At most `size` bytes, none at the end."""
        if self._at < self._kept:
            block = self._file.read(min(size, self._kept - self._at))
        else:
            block = self._receive(size)
            self._file.write(block)
        self._at += len(block)
        if self._at > _PACKAGE_LIMIT:
            raise tarfile.TarError("the package is larger than 1 GiB")
        self._hash.update(block)
        return block

    def drain(self) -> None:
        """Read what tarfile left."""
        while self.read(_BLOCK):
            pass

    def _receive(self, size: int) -> bytes:
        while True:
            block = self._try(size)
            if block is not None:
                return block
            time.sleep(min(8.0, 0.5 * 2**self._failures))

    def _try(self, size: int) -> Optional[bytes]:
        """The next bytes, none at the end; None when the connection broke and may be tried again."""
        try:
            if self._answer is None:
                self._answer = self._request()
                if self._answer is None:
                    return b""
            block: bytes = self._answer.read(size)
            if not block and self._total and self._at < self._total:
                raise ConnectionError("the connection ended early")
        except urllib.error.HTTPError as error:
            with error:
                code = error.code
            raise FuelError(f"the npm registry answered {code}", where=self._url, code="registry_answer") from error
        except (OSError, http.client.HTTPException) as error:
            self._answer = None
            self._failures += 1
            if self._failures >= _ATTEMPTS:
                raise unreachable(self._url, error) from error
            return None
        self._on_bytes(self._at + len(block), self._total)
        return block

    def _request(self) -> Any:
        headers = {"Range": f"bytes={self._at}-"} if self._at else {}
        try:
            answer = _open(self._open_url, self._url, headers)
        except urllib.error.HTTPError as error:
            if error.code == 416 and self._at:
                error.close()
                return None
            raise
        length = int(answer.headers.get("Content-Length") or 0)
        if self._at and answer.status != 206:
            # The server starts over: pass by what is here already.
            skipped = 0
            while skipped < self._at:
                block = answer.read(min(_BLOCK, self._at - skipped))
                if not block:
                    raise ConnectionError("the connection ended early")
                skipped += len(block)
            self._total = length
        else:
            self._total = self._at + length if length else 0
        return answer

    def close(self) -> None:
        """Let go of file and connection."""
        self._file.close()
        if self._answer is not None:
            self._answer.close()
