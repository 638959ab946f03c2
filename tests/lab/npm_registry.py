# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages from the npm registry without npm: newest of a major, checked against the registry's digest, unpacked."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tarfile
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

DEFAULT_REGISTRY = "https://registry.npmjs.org"


class RegistryError(Exception):
    """What the registry does not have, or sent damaged."""


def _get(url: str, accept: str = "*/*") -> bytes:
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=120) as reply:
        return bytes(reply.read())


def _newest(document: dict[str, Any], major: int | None) -> dict[str, Any]:
    def key(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.split("."))

    if major is None:
        latest: dict[str, Any] = document["versions"][document["dist-tags"]["latest"]]
        return latest
    stable = [version for version in document["versions"] if "-" not in version and key(version)[0] == major]
    if not stable:
        raise RegistryError(f"the npm registry has no {document.get('name')} {major}.x")
    newest: dict[str, Any] = document["versions"][max(stable, key=key)]
    return newest


def fetch_package(name: str, major: int | None, target: Path, *, cache: Path) -> str:
    """Unpack the newest `major` release of package `name` into the new folder `target`; returns its version.

    Without a major it is the release that the registry calls latest.
    """
    registry = os.environ.get("NPM_CONFIG_REGISTRY", DEFAULT_REGISTRY).rstrip("/")
    document = json.loads(
        _get(f"{registry}/{urllib.parse.quote(name, safe='@')}", "application/vnd.npm.install-v1+json")
    )
    release = _newest(document, major)
    algorithm, expected = release["dist"]["integrity"].split("-", 1)
    kept = cache / f"{name.replace('/', '-')}-{release['version']}.tgz"
    data = kept.read_bytes() if kept.exists() else _get(release["dist"]["tarball"])
    if base64.b64encode(hashlib.new(algorithm, data).digest()).decode() != expected:
        kept.unlink(missing_ok=True)
        raise RegistryError(f"{name} {release['version']}: what arrived does not fit the registry's {algorithm} digest")
    if not kept.exists():
        partial = kept.with_suffix(".partial")
        partial.write_bytes(data)
        partial.rename(kept)
    target.mkdir(parents=True)
    with tarfile.open(kept) as archive:
        for member in archive.getmembers():
            # npm's tarballs have one top folder, "package" by convention only.
            inside = Path(*Path(member.name).parts[1:])
            content = archive.extractfile(member) if member.isfile() else None
            if content is None or inside.is_absolute() or ".." in inside.parts:
                continue
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            (target / inside).write_bytes(content.read())
            (target / inside).chmod(member.mode & 0o755)
    return str(release["version"])
