# SPDX-License-Identifier: GPL-3.0-or-later
"""The ssh config that makes plain `ssh fuel-NAME` work: one Include file of ours, one line in the user's own config.

Our file holds an entry per environment and is its own memory: the facts of each entry stand in a comment above it.
A key never exists without its entry (entries are written first and removed last), so no key can be forgotten.
Facts come from a server and end up in a command line (ProxyCommand), so each is held against a strict pattern.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fuelctl import paths
from fuelctl._shared._errors import FuelError

_MARK = "# fuelctl "
_REQUEST_BYTES = 24
_HEAD = "# Written by fuelctl; changes made here are lost.\n"
_PATTERNS = {
    "id": re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}"),
    "name": re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"),
    "container": re.compile(r"|[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"),
    "user": re.compile(r"[a-z_][a-z0-9_-]{0,31}"),
    "host_key": re.compile(r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) [A-Za-z0-9+/]{40,1400}={0,2}"),
    "server": re.compile(r"[\x21-\x7e ]{1,1024}"),
    "machine": re.compile(
        r"|(?:own )?(?:sudo )?[a-z_][a-z0-9_-]{0,31}@[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,251}[A-Za-z0-9])? [0-9]{1,5}"
    ),
}
_PATTERNS["machine_key"] = re.compile(f"|{_PATTERNS['host_key'].pattern}")
_PATTERNS["identity"] = re.compile(r"|/[^\x00-\x1f\x7f]{1,1023}")


@dataclass(frozen=True)
class Entry:
    """What ssh has to know about one environment; `server` is the control plane that it belongs to.

    `machine` is `[own ][sudo ]user@address port` of the machine that its container is on, with `machine_key` for a host
    key; both are empty where that is this machine. Without a `container`, the machine is the environment itself. `own`:
    it is entered with the keys and settings of the user's own, among them `identity`, the path of a private key, where
    one was named.
    """

    id: str
    name: str
    container: str
    user: str
    host_key: str
    server: str
    machine: str = ""
    machine_key: str = ""
    identity: str = ""

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            if not isinstance(value, str) or not _PATTERNS[field].fullmatch(value):
                raise FuelError(
                    f"The server reported {field} {str(value)[:80]!r} for an environment, which ssh must not be given",
                    hint="see `fuelctl server status`; this server may not be trustworthy",
                    code="bad_connection",
                )
        if not self.container and not self.machine:
            raise FuelError(
                "The server reported neither a container nor a machine for an environment",
                hint="see `fuelctl server status`",
                code="bad_connection",
            )

    @property
    def host(self) -> str:
        """What a person types after `ssh`."""
        return host(self.name)

    @property
    def host_key_alias(self) -> str:
        """The name under which the host key is pinned; the id keeps a later environment of the same name apart."""
        return f"fuel-{self.name}-{self.id.lower()}"

    @property
    def machine_host(self) -> str:
        """The name under which ssh knows the machine, and its host key is pinned."""
        return f"{self.host_key_alias}.machine"

    def block(self) -> str:
        """The entry as ssh reads it, its facts in a comment above."""
        if not self.container:
            address, port = self._machine_parts()[2:]
            way = (f"HostName {address}", f"Port {port}", f"User {self.user}", "ConnectTimeout 60")
            return _MARK + json.dumps(asdict(self)) + "\n" + _block(self.host, self.host_key_alias, self.id, way)
        reach = f"docker exec -i -u 0 {self.container} /usr/sbin/sshd -i -f /etc/fuel-code/sshd_config"
        blocks = []
        if self.machine:
            how, user, address, port = self._machine_parts()
            if "own" in how:
                key = f"-i {_word(Path(self.identity))} " if self.identity else ""
                over = f"ssh {key}{_pinned(self.machine_host)} -o BatchMode=yes -p {port} {user}@{address}"
            else:
                # Through the same file, so that plain `ssh fuel-NAME` of another config finds it too.
                over = f"ssh -F {_word(paths.ssh_config_file())} {self.machine_host}"
                # Whom no rule lets in gets no answer at all, and would wait for two minutes.
                way = (f"HostName {address}", f"Port {port}", f"User {user}", "ConnectTimeout 20")
                blocks.append(_block(self.machine_host, self.machine_host, self.id, way))
            reach = f"{over} {'sudo -n ' if 'sudo' in how else ''}{reach}"
        facts = (f"HostName {self.host}", f"User {self.user}", f"ProxyCommand {reach}")
        blocks.insert(0, _block(self.host, self.host_key_alias, self.id, facts))
        return _MARK + json.dumps(asdict(self)) + "\n" + "\n".join(blocks)

    def _machine_parts(self) -> tuple[list[str], str, str, str]:
        """How it is entered, and user, address and port."""
        who, _space, port = self.machine.rpartition(" ")
        words, _at, address = who.rpartition("@")
        *how, user = words.split(" ")
        return how, user, address, port

    def known_hosts(self) -> str:
        """Its lines of the file of pinned host keys."""
        if not self.container:
            # What was pinned before anybody worked in it, and not what is said in it now.
            return f"{self.host_key_alias} {self.machine_key}\n"
        machine = f"{self.machine_host} {self.machine_key}\n" if self.machine else ""
        return f"{self.host_key_alias} {self.host_key}\n{machine}"


def _word(path: Path) -> str:
    """A path as a word of a ProxyCommand."""
    return shlex.quote(str(path)).replace("%", "%%")


def _pinned(alias: str) -> str:
    """Options for ssh by which the host key pinned under `alias` is the one that is believed."""
    known = _word(Path(f'UserKnownHostsFile="{paths.ssh_known_hosts_file()}"'))
    return f"-o {known} -o GlobalKnownHostsFile=/dev/null -o HostKeyAlias={alias} -o StrictHostKeyChecking=yes"


def _block(name: str, alias: str, environment_id: str, facts: Iterable[str]) -> str:
    """One host: what is particular to it, and what holds for all of ours."""
    lines = (
        f"Host {name}",
        *(f"  {fact}" for fact in facts),
        f"  IdentityFile {_quoted(paths.ssh_key_file(environment_id))}",
        "  IdentitiesOnly yes",
        f"  HostKeyAlias {alias}",
        f"  UserKnownHostsFile {_quoted(paths.ssh_known_hosts_file())}",
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  UpdateHostKeys no",
        "  PreferredAuthentications publickey",
        "  ForwardAgent no",
        "  ServerAliveInterval 15",
        "  ServerAliveCountMax 4",
        "  LogLevel ERROR",
    )
    return "\n".join(lines) + "\n"


def host(name: str) -> str:
    """The ssh host name of an environment."""
    return f"fuel-{name}"


def entry_for(environment: dict[str, Any], server: str) -> Entry | None:
    """The entry of an environment object of the API; None while there is nothing to connect to."""
    connection = environment.get("connection")
    if not connection:
        return None
    # `ssh-keyscan` and key files append a comment, which is not part of the key.
    host_key = " ".join(str(connection.get("host_key", "")).split()[:2])
    return Entry(
        id=environment["id"],
        name=environment["name"],
        container=connection.get("container") or "",
        user=connection.get("user"),
        host_key=host_key,
        server=server,
        **_machine_of(connection.get("machine")),
    )


def _machine_of(machine: Any) -> dict[str, str]:
    """The machine's part of an entry; nothing where the container is on this machine."""
    if not isinstance(machine, dict):
        return {}
    how = ("own " if machine.get("own_keys") else "") + ("sudo " if machine.get("sudo") else "")
    said = f"{how}{machine.get('user')}@{machine.get('address')} {machine.get('port')}"
    key = " ".join(str(machine.get("host_key", "")).split()[:2])
    return {"machine": said, "machine_key": key, "identity": str(machine.get("identity_file") or "")}


def entries() -> list[Entry]:
    """The entries of our file, newest first; a line that is not ours any more is left out."""
    try:
        text = paths.ssh_config_file().read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise paths.storage_error(error, paths.ssh_config_file()) from error
    found = []
    for line in text.splitlines():
        if line.startswith(_MARK):
            try:
                found.append(Entry(**json.loads(line[len(_MARK) :])))
            except (ValueError, TypeError, FuelError):
                continue
    return found


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock under which our ssh files change: several fuelctl run at once."""
    folder = paths.private_folder(paths.ssh_folder())
    try:
        descriptor = os.open(folder / ".lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise paths.storage_error(error, folder) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def put(entry: Entry) -> None:
    """Add or renew an entry. The caller holds the lock."""
    _write([entry, *(other for other in entries() if other.id != entry.id)])


def remove(environment_ids: Iterable[str]) -> None:
    """Remove keys and entries, keys first. The caller holds the lock; what is gone already is fine."""
    gone = set(environment_ids)
    for environment_id in gone:
        try:
            paths.ssh_key_file(environment_id).unlink(missing_ok=True)
            _request_file(environment_id).unlink(missing_ok=True)
            answered_file(environment_id).unlink(missing_ok=True)
            _own_file(environment_id).unlink(missing_ok=True)
            _own_file(environment_id).with_suffix(".own.pub").unlink(missing_ok=True)
        except OSError as error:
            raise paths.storage_error(error, paths.ssh_key_file(environment_id)) from error
    kept = [entry for entry in entries() if entry.id not in gone]
    if paths.ssh_config_file().exists():
        _write(kept)


def key_request(environment_id: str) -> str:
    """The idempotency key of this user's asking for the private key, kept for a crash. The caller holds the lock."""
    file = _request_file(environment_id)
    try:
        known = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        known = ""
    if len(known) < _REQUEST_BYTES:
        known = secrets.token_urlsafe(_REQUEST_BYTES)
        paths.private_file(file, known.encode("ascii"))
    return known


def store_key(environment_id: str, private_key: str) -> None:
    """Keep the private key (0600) as ssh wants it: with a line break at its end. The caller holds the lock."""
    paths.private_file(paths.ssh_key_file(environment_id), (private_key.rstrip("\n") + "\n").encode())
    _request_file(environment_id).unlink(missing_ok=True)


def own_key(environment_id: str) -> str:
    """The public half of a key pair of this user's own for an environment, made the first time. FuelError without ssh.

    It is not the environment's key until `take_own_key`: whoever is killed in between goes on with the same one. The
    caller holds the lock.
    """
    private = _own_file(environment_id)
    public = private.with_suffix(".own.pub")
    try:
        if not (private.exists() and public.exists()):
            private.unlink(missing_ok=True)
            paths.private_folder(private.parent)
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(private)]
            done = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL, timeout=30)
            if done.returncode != 0:
                reason = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
                raise FuelError(f"ssh-keygen made no key: {reason}", hint="correct that", where=str(private.parent))
        return public.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise FuelError(
            "There is no ssh-keygen on this machine",
            hint="install OpenSSH: apt-get install openssh-client",
            code="no_ssh",
        ) from error
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
        raise paths.storage_error(error if isinstance(error, OSError) else OSError(str(error)), private) from error


def take_own_key(environment_id: str) -> None:
    """It opens the environment now: from here on it is the key that ssh uses. The caller holds the lock."""
    private = _own_file(environment_id)
    private.replace(paths.ssh_key_file(environment_id))
    private.with_suffix(".own.pub").unlink(missing_ok=True)
    _request_file(environment_id).unlink(missing_ok=True)


def _own_file(environment_id: str) -> Path:
    return paths.ssh_key_file(environment_id).with_suffix(".own")


def _request_file(environment_id: str) -> Path:
    return paths.ssh_key_file(environment_id).with_suffix(".request")


def answered_file(environment_id: str) -> Path:
    """Its time of change is when the environment's machine last answered us."""
    return paths.ssh_key_file(environment_id).with_suffix(".answered")


def has_key(environment_id: str) -> bool:
    """Whether this user holds the key of that environment."""
    return paths.ssh_key_file(environment_id).exists()


def traces(environment_id: str) -> dict[str, bool]:
    """What is still on this machine of an environment that has ended: asked of the files themselves."""
    return {
        "ssh_config_entry": any(entry.id == environment_id for entry in entries()),
        "ssh_key": has_key(environment_id),
    }


def repair(environments: Iterable[dict[str, Any]], server: str) -> None:
    """Make our files say what the server says: `environments` are all of its live ones.

    Entries of environments that are gone go, with their keys; those whose facts changed are renewed. Entries of other
    servers stay. Cheap when there is nothing to do, for every `ls` comes through here.
    """
    live = {environment["id"]: environment for environment in environments}
    have = entries()
    if not have:
        return
    wanted: list[Entry] = []
    for entry in have:
        if entry.server != server:
            wanted.append(entry)
        elif entry.id in live:
            wanted.append(entry_for(live[entry.id], server) or entry)
    if wanted == have and _rendered(wanted) == _current():
        return
    with locked():
        remove(entry.id for entry in have if entry.server == server and entry.id not in live)
        kept = {entry.id: entry for entry in wanted}
        # Read again under the lock: another fuelctl may have added one meanwhile.
        _write([kept.get(entry.id, entry) for entry in entries()])


def _write(new: list[Entry]) -> None:
    known_hosts = "".join(entry.known_hosts() for entry in new)
    paths.private_file(paths.ssh_known_hosts_file(), known_hosts.encode())
    paths.private_file(paths.ssh_config_file(), _rendered(new).encode())


def _rendered(new: list[Entry]) -> str:
    return _HEAD + "".join("\n" + entry.block() for entry in new)


def _current() -> str:
    try:
        return paths.ssh_config_file().read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _quoted(path: Path) -> str:
    """A path as a value of ssh's config: spaces, quotes and % are not special in it any more."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'
