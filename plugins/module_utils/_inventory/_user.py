# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What fuelctl and the playbooks keep for this user: the server's address, ssh entries, keys. Read, never written."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .._errors import UsageError
from .._unix_socket import stand_in

_MARK = "# fuelctl "


@dataclass(frozen=True)
class Server:
    """Where a control plane is: `url` (with `token`) of a team's, or `socket` of this user's own."""

    url: Optional[str]
    token: Optional[str]
    socket: str


class User:
    """The folders of one user, by environment variables as fuelctl takes them."""

    def __init__(self, environ: Mapping[str, str], keys_path: Optional[str] = None) -> None:
        self._environ = environ
        self._keys_path = keys_path

    def folder(self, kind: str) -> str:
        """fuelctl's folder of `config`, `state` or `data`."""
        home = self._environ.get("FUELCTL_HOME")
        if home:
            try:
                # Letter by letter as fuelctl has it: the short stand-in of a long path is made of it.
                return str(Path(home).expanduser().absolute() / kind)
            except RuntimeError as error:
                raise UsageError("it names a user that is not known here", where="FUELCTL_HOME") from error
        if sys.platform == "darwin":
            return os.path.expanduser("~/Library/Application Support/fuelctl")
        plain = {"config": "~/.config", "state": "~/.local/state", "data": "~/.local/share"}[kind]
        base = self._environ.get(f"XDG_{kind.upper()}_HOME") or ""
        # A relative one is to be ignored, says the specification.
        return os.path.join(base if os.path.isabs(base) else os.path.expanduser(plain), "fuelctl")

    def socket(self) -> str:
        """The embedded server's socket."""
        return stand_in(os.path.join(self.folder("state"), "server.sock"))

    def server(self, url: Optional[str], token: Optional[str], token_file: Optional[str]) -> Server:
        """The server that is given, else that of config.toml, else that of `fuelctl login`, else the embedded one."""
        if not url:
            configured = self._configured()
            url = configured.get("url")
            token_file = token_file or (configured.get("token_file") if url else None)
        if url and not token and token_file:
            try:
                with open(os.path.expanduser(token_file), encoding="utf-8") as stream:
                    token = stream.read().strip()
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"the token cannot be read: {error}", where=token_file) from error
        logins = self._logins()
        if not url and isinstance(logins.get("current"), str):
            url = logins["current"]
        if url and not token:
            servers = logins.get("servers")
            known = servers.get(url.rstrip("/")) if isinstance(servers, dict) else None
            token = known.get("token") if isinstance(known, dict) else None
        return Server(url or None, token or None, self.socket())

    def ssh_config(self) -> str:
        """The file of ssh entries that fuelctl writes."""
        return os.path.join(self.folder("data"), "ssh", "config")

    def ssh_entries(self) -> Dict[str, Tuple[str, Optional[str]]]:
        """Environment id -> the `Host` of its container and of its machine; what is not fuelctl's is passed over."""
        found: Dict[str, Tuple[str, Optional[str]]] = {}
        for line in _lines(self.ssh_config()):
            entry = _entry(line[len(_MARK) :]) if line.startswith(_MARK) else {}
            if entry:
                name = "fuel-" + entry["name"]
                # One that is entered with the user's own keys has no entry of its own.
                has_entry = entry.get("machine") and not entry["machine"].startswith("own ")
                machine = f"{name}-{entry['id'].lower()}.machine" if has_entry else None
                found[entry["id"]] = (name, machine)
        return found

    def key(self, environment_id: str) -> Optional[str]:
        """The private key of an environment, where this user has it."""
        candidates = [os.path.join(self.folder("data"), "ssh", "keys", environment_id)]
        candidates += [os.path.join(folder, environment_id, "id_ed25519") for folder in self._key_folders()]
        return next((path for path in candidates if os.path.isfile(path)), None)

    def machine_known_hosts(self, environment_id: str) -> Optional[str]:
        """The file in which the host key of the environment's machine is pinned."""
        candidates = [os.path.join(each, environment_id, "machine_known_hosts") for each in self._key_folders()]
        return next((path for path in candidates if os.path.isfile(path)), None)

    def _key_folders(self) -> List[str]:
        plain = self._environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
        folders = [os.path.join(self.folder("state"), "keys"), os.path.join(plain, "fuel-code", "keys")]
        return [os.path.expanduser(self._keys_path), *folders] if self._keys_path else folders

    def _logins(self) -> Dict[str, Any]:
        """What `fuelctl login` remembers: the server in use, and a token for each."""
        path = os.path.join(self.folder("state"), "logins.json")
        try:
            with open(path, encoding="utf-8") as stream:
                document = json.load(stream)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UsageError(f"the logins cannot be read: {error}", where=path) from error
        return document if isinstance(document, dict) else {}

    def _configured(self) -> Dict[str, Any]:
        """`[server]` of config.toml; nothing where Python cannot read TOML."""
        path = os.path.join(self.folder("config"), "config.toml")
        if not os.path.exists(path):
            return {}
        try:
            import tomllib
        except ImportError:
            return {}
        try:
            with open(path, "rb") as stream:
                section = tomllib.load(stream).get("server")
        except (OSError, ValueError) as error:
            raise UsageError(f"the settings cannot be read: {error}", where=path) from error
        known = section if isinstance(section, dict) else {}
        return {name: value for name, value in known.items() if isinstance(value, str)}


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().splitlines()
    except OSError:
        return []


def _entry(text: str) -> Dict[str, str]:
    try:
        entry = json.loads(text)
    except ValueError:
        return {}
    names = ("id", "name", "machine") if isinstance(entry, dict) and "machine" in entry else ("id", "name")
    good = isinstance(entry, dict) and all(isinstance(entry.get(name), str) for name in names)
    return entry if good else {}
