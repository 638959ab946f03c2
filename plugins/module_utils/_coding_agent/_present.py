# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The coding_agent module's work: fetched (into the machine's store) and present (in a container, ready to be used)."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from .._errors import FuelError, UsageError
from .._inside import FIELD, Inside, last_lines, line
from .._progress import Progress
from .._spool import HOOK, HOOK_SCRIPT, PUSH, PUSH_SCRIPT, SPOOL
from ._config import Wishes, holds_secret, settings_for, state_for
from ._home import Home, read_home
from ._registry import Package, check_version, package_of
from ._skills import APPLY, APPLY_NEW, PROBE, Change, Present, archive_of, change, present, read_skills
from ._store import Store

#: What of a key the agent remembers as accepted; nothing more of it leaves the container.
_KEY_TAIL = 20

#: As root. Everything that decides whether something is to be done, in one call.
_PROBE = (
    FIELD
    + r"""
user=$(field) binary=$(field) link=$(field) workspace=$(field)
home=$(getent passwd "$user" | cut -d: -f6)
[ -n "$home" ] && [ -d "$home" ] || { echo nouser; exit 0; }
echo user
[ -x "$binary" ] && echo "binary yes"
printf 'link '; readlink "$link" || echo
printf 'version '; runuser -u "$user" -- "$link" --version 2>/dev/null | head -n 1 || echo
printf 'settings '; head -c 4194304 "$home/.claude/settings.json" 2>/dev/null | base64 -w0; echo
printf 'state '; head -c 16777216 "$home/.claude.json" 2>/dev/null | base64 -w0; echo
printf 'record '; base64 -w0 /var/lib/fuel-code/agent.json 2>/dev/null; echo
printf 'tail '; sed -n 's/^ANTHROPIC_API_KEY=//p' "$home/.ssh/environment" 2>/dev/null | tail -n 1 | tr -d '\n' |
  tail -c 20 | base64 -w0; echo
runuser -u "$user" -- env HOME="$home" sh -c '
"""
    + PROBE
    + r"""
' fuel-code "$workspace"
"""
)

#: As root. system/ is ours; new/ and replace/ go below the user's home, new/ without touching what is there. Skills of
#: ours make room before new/ comes, which may hold the caller's own of the same name.
_APPLY = (
    FIELD
    + r"""
set -eu
umask 022
user=$(field) binary=$(field) link=$(field) workspace=$(field)
home=$(getent passwd "$user" | cut -d: -f6)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
chmod 755 "$scratch"
tar -x -f - -C "$scratch" --no-same-owner
mkdir -p /usr/local/lib/fuel-code /usr/local/bin /var/lib/fuel-code
install -d -m 700 -o "$user" /var/lib/fuel-code/spool /var/lib/fuel-code/callback
for name in hook push; do
  install -m 755 "$scratch/system/$name" "/usr/local/lib/fuel-code/$name.new"
  mv "/usr/local/lib/fuel-code/$name.new" "/usr/local/lib/fuel-code/$name"
done
rm -f /var/lib/fuel-code/callback/url
if [ -f "$scratch/system/header" ]; then
  install -m 600 -o "$user" "$scratch/system/header" /var/lib/fuel-code/callback/header
  install -m 600 -o "$user" "$scratch/system/url" /var/lib/fuel-code/callback/url
fi
ln -sfn "$binary" "$link.new"
mv -T "$link.new" "$link"
chown -R "$user" "$scratch/new" "$scratch/replace" "$scratch/skills"
# As the user: links in the home then lead nowhere that the user could not go.
runuser -u "$user" -- env HOME="$home" sh -eu -c '
  umask 077
  mkdir -p "$HOME/.claude"
"""
    + APPLY
    + r"""
  cp -Rn "$1/new/." "$HOME/"
"""
    + APPLY_NEW
    + r"""
  cd "$1/replace"
  find . -type f | while IFS= read -r file; do
    cp "$file" "$HOME/$file.fuel-code-new"
    mv "$HOME/$file.fuel-code-new" "$HOME/$file"
  done' fuel-code "$scratch"
install -m 644 "$scratch/system/agent.json" /var/lib/fuel-code/agent.json.new
mv /var/lib/fuel-code/agent.json.new /var/lib/fuel-code/agent.json
runuser -u "$user" -- "$link" --version
"""
)


@dataclass(frozen=True)
class Wanted:
    """What is to be in the container."""

    workspace: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    hooks: Mapping[str, Any] = field(default_factory=dict)
    mcp_servers: Mapping[str, Any] = field(default_factory=dict)
    home: Optional[str] = None
    events_url: Optional[str] = None
    events_token_file: Optional[str] = None
    #: Names of skills, and the folder (or packed file) that has them.
    skills: Sequence[str] = ()
    skills_path: Optional[str] = None


class Agent:
    """One agent at one version (`latest` or exact)."""

    def __init__(self, store: Store, name: str, version: str, progress_path: Optional[str] = None) -> None:
        self._store = store
        self._package: Package = package_of(name)
        self._version = check_version(version)
        self._progress = Progress("agent", progress_path)

    @property
    def steps(self) -> List[Dict[str, Any]]:
        """Everything done so far."""
        return self._progress.steps

    @property
    def _link(self) -> str:
        return f"/usr/local/bin/{self._package.binary}"

    def fetched(self, *, check: bool = False) -> Dict[str, Any]:
        """Have it in the machine's store; the module's result."""
        version, changed = self._fetch(check)
        return self._result(version, changed)

    def fetch_ahead(self) -> None:
        """As `fetched`, on a machine whose engine may still be on its way."""
        version = self._store.resolve(self._package, self._version)
        self._store.fetch_ahead(self._package, version)

    def present(self, container: Inside, wanted: Wanted, *, check: bool = False) -> Dict[str, Any]:
        """Have it in the container, configured and verified; the module's result."""
        home = read_home(wanted.home) if wanted.home else Home()
        callback = _callback(wanted)
        skills = read_skills(wanted.skills_path or "", wanted.skills) if wanted.skills else {}
        version, fetched = self._fetch(check)
        with self._progress.step("configure") as step:
            found = self._probe(container, version, wanted.workspace)
            wishes = Wishes(
                workspace=wanted.workspace,
                version=version,
                settings=wanted.settings,
                hooks=wanted.hooks,
                mcp_servers=wanted.mcp_servers,
                home_settings=home.settings,
                home_mcp_servers=home.mcp_servers,
            )
            replace, after = _changed(found, wishes)
            record = _record(home, callback)
            ready = found.link == self._store.path(self._package, version) and found.version.split(" ")[0] == version
            taught = change(skills, found.skills, home.files)
            changed = bool(replace or taught.install or taught.remove) or not ready or found.record != record
            if not changed:
                step.reuse(found.version)
            elif not check:
                new = {} if found.record.get("home") == record["home"] else home.files
                payload = _payload(record, callback, new, replace, taught)
                step.message = self._apply(container, version, wanted.workspace, payload)
            if taught.install:
                step.message += "; skills: " + ", ".join(taught.install)
            if not check:
                # Each time: who was killed before it would not do it again.
                container.keep([HOOK, PUSH, self._link])
            if home.left_out:
                step.message += f"; left out of {wanted.home}: " + ", ".join(home.left_out)[:500]
        result = self._result(version, changed or fetched)
        result["left_out"] = home.left_out
        result["skills"] = taught.told
        result["diff"] = {"before": _masked(found.settings), "after": _masked(after)} if changed else {}
        return result

    def _fetch(self, check: bool) -> Tuple[str, bool]:
        with self._progress.step("fetch") as step:
            version = self._store.resolve(self._package, self._version)
            if check:
                missing = not self._store.has(self._package, version)
            else:
                missing = self._store.fetch(self._package, version, lambda text: self._progress.output("fetch", text))
            step.message = f"{self._package.name} {version}"
            if not missing:
                step.reuse()
        return version, missing

    def _probe(self, container: Inside, version: str, workspace: str) -> "_Found":
        answer = container.script(_PROBE, self._fields(container, version, workspace), user="0", timeout=60)
        lines = answer.stdout.decode("utf-8", "replace").splitlines()
        if not lines or lines[0] != "user":
            raise FuelError(
                f"there is no user {container.user}",
                where=container.name,
                hint="run dev_container first",
                code="no_user",
            )
        values = dict(entry.partition(" ")[::2] for entry in lines[1:])
        if "binary" not in values:
            raise FuelError(
                f"{self._store.path(self._package, version)} is not in the container",
                where=container.name,
                hint="mount the volume fuel-code-agents at /opt/fuel-code/agents: bring the environment up anew",
                code="agents_not_mounted",
            )
        return _Found(
            link=values.get("link", ""),
            version=values.get("version", ""),
            settings=_decoded(values.get("settings", ""), "settings.json"),
            state=_decoded(values.get("state", ""), ".claude.json"),
            record=_decoded(values.get("record", ""), "agent.json", broken={}),
            key_tail=_tail(values.get("tail", "")),
            skills=present(lines[1:]),
        )

    def _fields(self, container: Inside, version: str, workspace: str) -> bytes:
        return b"".join(
            line(text) for text in (container.user, self._store.path(self._package, version), self._link, workspace)
        )

    def _apply(self, container: Inside, version: str, workspace: str, payload: bytes) -> str:
        fields = self._fields(container, version, workspace)
        answer = container.script(_APPLY, fields + payload, user="0", timeout=120)
        said = last_lines(answer.stdout)
        if answer.returncode or not said or said[-1].split(" ")[0] != version:
            reason = (last_lines(answer.stderr) or said or [f"exit code {answer.returncode}"])[-1]
            raise FuelError(
                f"{self._package.name} {version} does not run in the container: {reason[:300]}",
                where=container.name,
                hint="look inside: claude --version",
                code="agent_broken",
            )
        return said[-1]

    def _result(self, version: str, changed: bool) -> Dict[str, Any]:
        path = self._store.path(self._package, version)
        return {
            "changed": changed,
            "agent": {"name": self._package.name, "version": version, "path": path},
            "steps": self.steps,
        }


@dataclass
class _Found:
    link: str
    version: str
    settings: Dict[str, Any]
    state: Dict[str, Any]
    record: Dict[str, Any]
    key_tail: str
    skills: Present


def _tail(text: str) -> str:
    try:
        return base64.b64decode(text).decode("utf-8", "replace")[-_KEY_TAIL:]
    except ValueError:
        return ""


def _decoded(text: str, name: str, broken: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
    if not text:
        return {}
    try:
        value = json.loads(base64.b64decode(text))
    except (ValueError, RecursionError) as error:
        if broken is not None:
            return broken
        raise FuelError(
            "cannot be read as JSON", where=f"~/{name} in the container", hint="repair or remove it", code="bad_config"
        ) from error
    return value if isinstance(value, dict) else {}


def _changed(found: _Found, wishes: Wishes) -> Tuple[Dict[str, bytes], Dict[str, Any]]:
    """Files below the home that are not as they are to be, and the settings as they are to be."""
    settings = settings_for(wishes, found.settings)
    state = state_for(wishes, found.state, found.key_tail)
    replace = {}
    if settings != found.settings:
        replace[".claude/settings.json"] = _shown(settings).encode("utf-8")
    if state != found.state:
        replace[".claude.json"] = _shown(state).encode("utf-8")
    return replace, settings


def _masked(settings: Mapping[str, Any]) -> str:
    """Settings for a log: of environment variables only the names, of values that look like a credential nothing."""
    shown = {key: "(hidden)" if holds_secret(value) else value for key, value in settings.items()}
    if isinstance(shown.get("env"), dict):
        shown["env"] = dict.fromkeys(shown["env"], "(hidden)")
    return _shown(shown)


def _shown(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n"


def _callback(wanted: Wanted) -> Optional[Tuple[str, str]]:
    """(URL, token) to send events to, or nothing."""
    if not wanted.events_url or not wanted.events_token_file:
        return None
    if not re.fullmatch(r"https?://[!-~]{1,1000}", wanted.events_url):
        raise UsageError("the callback's address is no http(s) address", code="bad_callback")
    try:
        with open(wanted.events_token_file, encoding="ascii") as stream:
            token = stream.read(4096).strip()
    except (OSError, ValueError) as error:
        raise FuelError(
            "cannot read the callback's token", where=wanted.events_token_file, code="bad_callback"
        ) from error
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]{8,1024}", token):
        raise UsageError("the callback's token is not one", where=wanted.events_token_file, code="bad_callback")
    return wanted.events_url, token


def _record(home: Home, callback: Optional[Tuple[str, str]]) -> Dict[str, Any]:
    """What was laid down, by digest: readable by everybody in the container, so the token only hashed."""
    scripts = hashlib.sha256((HOOK_SCRIPT + PUSH_SCRIPT).encode("utf-8")).hexdigest()
    known = hashlib.sha256("\0".join(callback).encode("utf-8")).hexdigest() if callback else None
    return {"home": home.digest(), "scripts": scripts, "callback": known, "spool": SPOOL, "hook": HOOK, "push": PUSH}


def _payload(
    record: Mapping[str, Any],
    callback: Optional[Tuple[str, str]],
    new: Mapping[str, Tuple[bytes, bool]],
    replace: Mapping[str, bytes],
    skills: Change,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder in ("system", "new", "new/.claude", "replace", "replace/.claude", "skills"):
            directory = tarfile.TarInfo(folder)
            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(directory)
        _add(archive, "system/hook", HOOK_SCRIPT.encode("utf-8"))
        _add(archive, "system/push", PUSH_SCRIPT.encode("utf-8"))
        _add(archive, "system/agent.json", json.dumps(record, sort_keys=True).encode("utf-8"))
        if callback is not None:
            _add(archive, "system/url", callback[0].encode("ascii"))
            _add(archive, "system/header", f"Authorization: Bearer {callback[1]}\n".encode("ascii"), 0o600)
        for name, (content, executable) in new.items():
            _add(archive, f"new/.claude/{name}", content, 0o700 if executable else 0o600)
        for name, content in replace.items():
            _add(archive, f"replace/{name}", content, 0o600)
        for name, content in archive_of(skills):
            _add(archive, name, content)
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))
