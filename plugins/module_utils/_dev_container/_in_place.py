# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""An environment that is the machine itself, one of images/dev: no engine, no image and no container to see to.

What is left is what a session finds: variables and secrets, where work begins, packages, certificates; and the programs
of the machine, which move its end and let keys in. Who has a session there may be root: what this machine says of
itself is believed of it alone.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

from .._activity import look
from .._errors import FuelError, UsageError
from .._inside import FIELD, KEPT, InPlace, last_lines, line
from .._progress import Progress
from .._public_key import PublicKey
from ._login import SECRETS_MARK, session_environment
from ._recipe import image_environment, pack
from ._spec import Spec

#: As images/dev has it.
USER = "dev"
_NAME = "the machine"
#: Exit codes that mean something here.
_NO_MACHINE = 3

_KNOW = f"cat {KEPT}/environment.json 2>/dev/null || :"
#: Prints what it has to say of one step per line: `changed NAME`, `uid NUMBER`, `home PATH`, `host_key TYPE KEY`.
_PREPARE = (
    FIELD
    + f"""
set -eu
umask 077
mode=$(field) user=$(field) secrets=$(field)
kept={KEPT}
"""
    + r"""
[ -d "$kept/ssh" ] && command -v fuel-code-deadline >/dev/null || exit 3
home=$(getent passwd "$user" | cut -d: -f6)
in=$(mktemp -d)
trap 'rm -rf "$in"' EXIT
tar -x --no-same-owner -C "$in" -f -
changed() { printf 'changed %s\n' "$1"; }
put() { # name, target, mode, owner
  cmp -s "$in/$1" "$2" && return
  changed "$1"
  [ "$mode" = write ] || return 0
  install -m "$3" -o "$4" -g "$(id -g "$4")" "$in/$1" "$2.new"
  mv -f "$2.new" "$2"
}
printf 'uid %s\nhome %s\n' "$(id -u "$user")" "$home"

missing=$(while IFS= read -r package; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' -- "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
done <"$in/packages")
if [ -n "$missing" ]; then
  changed packages
  if [ "$mode" = write ]; then
    # A package that starts a service would fail or linger.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
      printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
      chmod 755 /usr/sbin/policy-rc.d
    fi
    export DEBIAN_FRONTEND=noninteractive
    set -- -q -o Acquire::Retries=3 -o Acquire::Languages=none -o DPkg::Lock::Timeout=60 -o Dpkg::Use-Pty=0
    (umask 022; apt-get "$@" update
      printf '%s\n' "$missing" | xargs -r -d '\n' apt-get "$@" install -y --no-install-recommends --) >&2
  fi
fi

folder=/usr/local/share/ca-certificates/fuel-code
mkdir -p "$in/certificates"
if ! diff -rq "$in/certificates" "$folder" >/dev/null 2>&1 &&
  [ -n "$(find "$in/certificates" "$folder" -type f 2>/dev/null | head -n 1)" ]; then
  changed certificates
  if [ "$mode" = write ]; then
    # Nor is what is believed no more put back at the next start.
    rm -rf "$folder" "$kept/root$folder" "$kept/root/etc/ssl/certs/ca-certificates.crt"
    (umask 022; mkdir -p "$folder"
      for each in "$in/certificates"/*; do [ ! -f "$each" ] || install -m 644 "$each" "$folder/"; done
      update-ca-certificates) >&2
  fi
fi

if [ "$secrets" = keep ] && [ -r "$home/.ssh/environment" ]; then
  sed -n '/^# fuel-code: secrets$/,$p' "$home/.ssh/environment" >>"$in/environment"
fi
[ -d "$home/.ssh" ] || [ "$mode" != write ] || install -d -m 700 -o "$user" -g "$(id -g "$user")" "$home/.ssh"
put environment "$home/.ssh/environment" 600 "$user"
put workspace "$kept/workspace" 644 root
put environment.json "$kept/environment.json" 644 root
printf 'host_key %s\n' "$(cat "$kept/ssh/ssh_host_ed25519_key.pub")"
"""
)
#: stdin: the deadline, or an empty line to move none. Prints the one that held, and the one that holds.
_DEADLINE = FIELD + 'set -eu; to=$(field); fuel-code-deadline; [ -z "$to" ] || fuel-code-deadline "$to"'
#: stdin: check|write, and the key. Prints `added` when it was not there.
_ADMIT = (
    FIELD
    + f"""
set -eu
mode=$(field) key=$(field)
grep -qsxF -- "$key" /run/fuel-code/authorized_keys {KEPT}/ssh/authorized_keys && exit 0
echo added
[ "$mode" = check ] || printf '%s\\n' "$key" | fuel-code-admit >/dev/null
"""
)


def here(user: str = USER) -> InPlace:
    """This machine."""
    return InPlace(_NAME, user)


def known() -> Optional[Dict[str, str]]:
    """{environment_id, owner, name, user, home, workspace} as `present` wrote it down; None where it has not."""
    try:
        found = json.loads(here().script(_KNOW, user="0").stdout)
    except (ValueError, RecursionError):
        return None
    wanted = ("environment_id", "owner", "name", "user", "home", "workspace")
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in wanted):
        return None
    return {key: found[key] for key in wanted}


def present(spec: Spec, progress: Progress, *, check: bool = False) -> Dict[str, Any]:
    """Have a session find what `spec` asks for; the module's result, without its steps."""
    _refuse(spec)
    other = known()
    if other is not None and other["environment_id"] != spec.environment_id:
        raise FuelError(
            f"this machine is environment {other['environment_id'][:40]}", where=_NAME, code="other_environment"
        )
    with progress.step("login") as step:
        said = _prepare(spec, check=check)
        if not said.changed:
            step.reuse()
        elif "packages" in said.changed:
            step.message = "packages were installed: a stop of the machine loses them, what is in its image stays"
        if not check and spec.ca_certificates:
            here().keep(["/usr/local/share/ca-certificates/fuel-code", "/etc/ssl/certs/ca-certificates.crt"])
    changed = list(said.changed)
    if spec.expires_at is not None:
        with progress.step("watchdog") as step:
            before = deadline(None if check else int(spec.expires_at))[0]
            if before == int(spec.expires_at):
                step.reuse()
            else:
                changed.append("deadline")
    environment = {
        "id": spec.environment_id,
        "name": spec.name,
        **dict.fromkeys(("container", "container_id", "network", "image", "image_id", "agents_volume")),
        "volumes": [],
        "base_digest": "",
        "user": USER,
        "uid": said.uid,
        "home": said.home,
        "workspace": spec.workspace,
        "host_key": said.host_key,
        # Nothing lies between: who forwards one reaches what listens there.
        "ports": [{"container": port, "host": port} for port in spec.ports],
        "services": [],
    }
    return {
        "changed": bool(changed),
        "environment": environment,
        # They are its provider's.
        "resources": [],
        "heartbeat": False,
        "diff": {"before": "", "after": "".join(f"{name}\n" for name in changed)},
    }


def deadline(move_to: Optional[int] = None) -> Tuple[Optional[int], Optional[int]]:
    """(the deadline that held until now, the one that holds): epoch seconds, None for none."""
    done = here().script(_DEADLINE, line("" if move_to is None else str(move_to)), user="0", timeout=60)
    words = done.text.split()
    if done.returncode or not words or not all(re.fullmatch(r"never|\d{1,11}", word) for word in words):
        raise FuelError(
            "The machine does not say when it ends, so nothing may end this environment by itself",
            hint="look inside: sudo fuel-code-deadline",
            where=_NAME,
            code="no_watchdog",
        )
    before, after = (None if word == "never" else int(word) for word in (words[0], words[-1]))
    return before, after


def admit(key: PublicKey, *, check: bool = False) -> bool:
    """Let the key in; whether it was not let in before."""
    given = line("check" if check else "write") + line(key.line)
    done = here().script(_ADMIT, given, user="0", timeout=60)
    if done.returncode:
        raise FuelError(
            f"The key was not let in: {(last_lines(done.stderr) or [str(done.returncode)])[-1][:200]}",
            hint="see whether the environment runs",
            where=_NAME,
            code="not_admitted",
        )
    return done.text == "added"


def audit(environment_id: Optional[str] = None) -> List[Dict[str, Any]]:
    """As `_audit.audit` has it: of this machine, once it was made an environment."""
    one = known()
    if one is None or environment_id not in (None, one["environment_id"]):
        return []
    login = {"container": None, **{key: one[key] for key in ("user", "home", "workspace")}, "running": True}
    told = {key: one[key] for key in ("environment_id", "owner", "name")}
    return [{**told, "login": login, "resources": [], "since": None}]


def observe(cursors: Mapping[str, str], notices: Optional[Mapping[str, str]] = None) -> List[Dict[str, Any]]:
    """As `_observe.observe` has it. Whoever asks was led here: that it is there needs no proof."""
    return [_seen(name, cursor, str((notices or {}).get(name) or "")) for name, cursor in cursors.items()]


def _seen(environment_id: str, cursor: str, notice: str) -> Dict[str, Any]:
    seen: Dict[str, Any] = {
        "environment_id": environment_id,
        "present": True,
        "running": True,
        "events": [],
        "cursor": cursor,
        **dict.fromkeys(("activity", "problem", "notice")),
    }
    try:
        batch, sample = look(here(), cursor, notice)
    except FuelError as error:
        seen["problem"] = error.message
    else:
        seen.update(events=batch.events, cursor=batch.cursor or cursor, activity=sample)
    return seen


def _refuse(spec: Spec) -> None:
    if spec.services:
        raise UsageError(
            f"service {spec.services[0].name} needs a container beside the environment, and this one is a machine",
            hint="take `services` out of the blueprint, or use a provider with a Docker engine",
            where="services",
            code="no_services",
        )
    if spec.user not in ("", USER):
        raise UsageError(
            f"the user of this machine is {USER}", hint="take `user` out of the blueprint", where="user", code="user"
        )


class _Said:
    def __init__(self, text: str) -> None:
        self.changed: List[str] = []
        values: Dict[str, str] = {}
        for each in text.splitlines():
            word, _space, rest = each.partition(" ")
            if word == "changed":
                self.changed.append(rest)
            else:
                values[word] = rest
        self.uid = int(values.get("uid") or 0)
        self.home = values.get("home", "")
        key = re.match(r"ssh-ed25519 [A-Za-z0-9+/=]{40,200}", values.get("host_key", ""))
        self.host_key = key.group(0) if key else ""


def _prepare(spec: Spec, *, check: bool) -> _Said:
    words = ("check" if check else "write", USER, "keep" if spec.secrets is None else "replace")
    given = b"".join(line(word) for word in words) + pack(files(spec))
    # What has to be downloaded takes as long as it takes.
    done = here().script(_PREPARE, given, user="0", timeout=1800)
    if done.returncode == _NO_MACHINE:
        raise FuelError(
            "this machine is not of images/dev",
            hint="make its image from images/dev, stage `remote`",
            where=_NAME,
            code="environment_unusable",
        )
    said = _Said(done.text)
    if done.returncode or not said.host_key:
        tail = last_lines(done.stderr, 8)
        last = tail[-1][:200] if tail else f"exit code {done.returncode}"
        raise FuelError(
            f"Failed to prepare the login on the machine: {last}",
            hint="see what it says; bring the environment up again",
            where=_NAME,
            code="login_failed",
            details={"tail": tail, "rc": done.returncode},
        )
    return said


def files(spec: Spec, home: str = f"/home/{USER}") -> Dict[str, str]:
    """What `_PREPARE` puts in place, by name; of the machine's own, a login is its image's."""
    session = session_environment(spec, image_environment(spec.ca_certificates), home)
    lines = [f"{name}={value}" for name, value in sorted(session.items())]
    if spec.secrets is not None:
        lines += [SECRETS_MARK, *(f"{name}={value}" for name, value in sorted(spec.secrets.items()))]
    record = {
        "environment_id": spec.environment_id,
        "owner": spec.owner,
        "name": spec.name,
        "user": USER,
        "home": home,
        "workspace": spec.workspace,
    }
    return {
        "environment": "".join(f"{each}\n" for each in lines),
        "workspace": f"{spec.workspace}\n",
        "environment.json": json.dumps(record, sort_keys=True) + "\n",
        "packages": "".join(f"{name}\n" for name in spec.system_packages),
        **{f"certificates/{number:03d}.crt": text for number, text in enumerate(spec.ca_certificates)},
    }
