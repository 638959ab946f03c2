# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Secrets of an app. Fly.io shows a digest of each, never a value, and machines see a change with their next start."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional

from .._errors import UsageError
from ._api import Api, ApiError, place
from ._refusals import explain

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
LIMIT = 64 * 1024


@dataclass
class Result:
    """Names that are there, and which of them were set to something else, or removed."""

    names: List[str]
    set: List[str]
    removed: List[str]
    version: Optional[int]


def read(path: str) -> Dict[str, str]:
    """The JSON object NAME -> value in a file that nobody else can read; UsageError for anything else."""
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = json.loads(file.read(16 * LIMIT))
    except (OSError, ValueError) as error:
        raise UsageError(f"the secrets cannot be read: {type(error).__name__}", where=path) from error
    if mode & 0o077:
        raise UsageError("others can read the secrets", hint=f"chmod 600 {path}", where=path)
    if not isinstance(content, dict):
        raise UsageError("the secrets are no JSON object", hint='write {"NAME": "value"}', where=path)
    return {str(name): value for name, value in content.items()}


def check(values: Mapping[str, Any]) -> Dict[str, str]:
    """The values as they are sent; UsageError, without any value in it, for what no machine could be given."""
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name[:80]!r} cannot name a secret", hint="use letters, digits and _")
        if not isinstance(value, str) or not value or "\0" in value or not _fits(value):
            raise UsageError("a secret has to be text of 1 to 65536 bytes without NUL", where=name)
    return dict(values)


def _fits(value: str) -> bool:
    try:
        return len(value.encode("utf-8")) <= LIMIT
    except UnicodeEncodeError:
        return False


def digests(api: Api, app: str) -> Dict[str, str]:
    """Name -> digest of every secret of the app."""
    try:
        return {str(each["name"]): str(each.get("digest") or "") for each in _listed(api, app)}
    except ApiError as error:
        raise explain(error, app) from error


def _listed(api: Api, app: str) -> List[Dict[str, Any]]:
    answer = api.call("GET", place("apps", app, "secrets")) or {}
    found: List[Dict[str, Any]] = answer.get("secrets") or []
    return found


def ensure(
    api: Api, app: str, values: Mapping[str, Any], *, absent: List[str], purge: bool = False, check_only: bool = False
) -> Result:
    """Set these values in one call, and remove those names; the digests before and after say what has changed.

    In check mode only a name that is missing counts as a change: what a value is now, nobody is told.
    """
    wanted = check(values)
    for name in absent:
        if name in wanted or not _NAME.fullmatch(name):
            raise UsageError(f"{name[:80]!r} cannot be removed", hint="name each secret once")
    before = digests(api, app)
    gone = sorted(name for name in before if name in absent or (purge and name not in wanted))
    if check_only:
        missing = sorted(name for name in wanted if name not in before)
        return Result(sorted((set(before) | set(wanted)) - set(gone)), missing, gone, None)
    version: Optional[int] = None
    if wanted or gone:
        body: Dict[str, Optional[str]] = {**wanted, **dict.fromkeys(gone)}
        try:
            answer = api.call("POST", place("apps", app, "secrets"), {"values": body}) or {}
        except ApiError as error:
            raise explain(error, app) from error
        told = answer.get("version", answer.get("Version"))
        version = int(told) if told is not None else None
    after = digests(api, app)
    changed = sorted(name for name in wanted if before.get(name) != after.get(name))
    return Result(sorted(after), changed, gone, version)
