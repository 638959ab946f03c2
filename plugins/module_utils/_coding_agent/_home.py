# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The caller's own agent folder: what of it may go along. Credentials, history and transcripts never do."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import stat
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, Iterator, List, Tuple

from .._errors import UsageError
from ._config import holds_secret, servers_without_secrets, without_secrets

#: Everything else stays where it is.
_FILES = ("CLAUDE.md", "keybindings.json")
_FOLDERS = ("agents", "commands", "hooks", "output-styles", "rules", "skills")
#: Bytes of one file, of all, number of files, depth of folders.
_FILE_LIMIT, _TOTAL_LIMIT, _COUNT_LIMIT, _DEPTH = 1 << 20, 16 << 20, 2000, 8
_REFUSED_NAME = re.compile(
    r"^\.(?!gitkeep$)|credential|token|secret|password|passwd|id_(?:rsa|dsa|ecdsa|ed25519)|\.(?:pem|key|p12|pfx|kdbx|netrc)$",
    re.IGNORECASE,
)


@dataclass
class Home:
    """What goes along."""

    settings: Dict[str, Any] = field(default_factory=dict)
    mcp_servers: Dict[str, Any] = field(default_factory=dict)
    #: Path below ~/.claude -> (content, executable).
    files: Dict[str, Tuple[bytes, bool]] = field(default_factory=dict)
    #: What was left out because it looks like a credential, or is too large.
    left_out: List[str] = field(default_factory=list)

    def digest(self) -> str:
        """Of the files, so that they are copied once."""
        total = hashlib.sha256()
        for name, (content, executable) in sorted(self.files.items()):
            total.update(f"{name}\0{executable}\0{len(content)}\0".encode("utf-8", "surrogateescape"))
            total.update(content)
        return total.hexdigest()


def read_home(path: str) -> Home:
    """Read `path`: a home folder that holds `.claude` and `.claude.json`, a `.claude` folder, or `pack_home`'s file."""
    if os.path.isfile(path):
        return _packed(path)
    if not os.path.isdir(path):
        raise UsageError(
            "is no folder with an agent's configuration",
            where=path,
            hint="for example ~/.claude",
            code="bad_agent_home",
        )
    inner = os.path.join(path, ".claude")
    folder, beside = (inner, path) if os.path.isdir(inner) else (path, os.path.dirname(os.path.abspath(path)))
    home = Home()
    home.settings, dropped = without_secrets(_json(os.path.join(folder, "settings.json")))
    home.left_out += [f"settings.json: {name}" for name in dropped]
    state = (
        _json(os.path.join(beside, ".claude.json")) if folder == inner or os.path.basename(folder) == ".claude" else {}
    )
    servers = {**_section(state), **_section(_json(os.path.join(folder, "mcp.json")))}
    home.mcp_servers, dropped = servers_without_secrets(servers)
    home.left_out += [f"MCP servers: {name}" for name in dropped]
    total = 0
    for name, full in _candidates(folder):
        reason, content, executable = _read(name, full)
        if not reason and (total + len(content) > _TOTAL_LIMIT or len(home.files) >= _COUNT_LIMIT):
            reason = "too much"
        if reason:
            home.left_out.append(f"{name} ({reason})")
            continue
        total += len(content)
        home.files[name] = (content, executable)
    return home


def pack_home(path: str, target: str) -> None:
    """Write what may go along into one file, for another machine: what may not never leaves this one."""
    home = read_home(path)
    files = {name: [base64.b64encode(content).decode("ascii"), flag] for name, (content, flag) in home.files.items()}
    with open(target, "w", encoding="utf-8") as stream:
        json.dump({**asdict(home), "files": files}, stream)


def _packed(path: str) -> Home:
    try:
        with open(path, encoding="utf-8") as stream:
            known = json.load(stream)
        files = {name: (base64.b64decode(text), bool(flag)) for name, (text, flag) in known["files"].items()}
        return Home(known["settings"], known["mcp_servers"], files, known["left_out"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError("is no folder with an agent's configuration", where=path, code="bad_agent_home") from error


def _candidates(folder: str) -> Iterator[Tuple[str, str]]:
    for name in _FILES:
        if os.path.lexists(os.path.join(folder, name)):
            yield name, os.path.join(folder, name)
    for top in _FOLDERS:
        root = os.path.join(folder, top)
        if os.path.islink(root):
            continue
        for current, folders, files in os.walk(root):
            depth = os.path.relpath(current, folder).count(os.sep)
            folders[:] = sorted(
                name for name in folders if depth < _DEPTH and not name.startswith(".") and name != "node_modules"
            )
            for name in sorted(files):
                full = os.path.join(current, name)
                yield os.path.relpath(full, folder).replace(os.sep, "/"), full


def _read(name: str, full: str) -> Tuple[str, bytes, bool]:
    """(reason to leave it out or empty, content, executable)."""
    if _REFUSED_NAME.search(os.path.basename(name)):
        return "looks like a credential", b"", False
    try:
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return "cannot be read, or is a link", b"", False
    with os.fdopen(descriptor, "rb") as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            return "is no plain file", b"", False
        content = stream.read(_FILE_LIMIT + 1)
    if len(content) > _FILE_LIMIT:
        return "too large", b"", False
    if holds_secret(content.decode("utf-8", "replace")):
        return "looks like a credential", b"", False
    return "", content, bool(facts.st_mode & 0o100)


def _json(path: str) -> Dict[str, Any]:
    """A JSON object; empty when there is none. A broken one is the caller's to know about."""
    try:
        with open(path, encoding="utf-8") as stream:
            # ~/.claude.json grows with every project; only a small part of it is used.
            value = json.loads(stream.read(64 << 20))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot be read as JSON: {str(error)[:100]}", where=path, code="bad_agent_home") from error
    return value if isinstance(value, dict) else {}


def _section(document: Dict[str, Any]) -> Dict[str, Any]:
    servers = document.get("mcpServers")
    return servers if isinstance(servers, dict) else {}
