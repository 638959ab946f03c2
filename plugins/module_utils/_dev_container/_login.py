# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a login finds inside: sshd's configuration, who may come in, where one lands, and the session's environment."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

from .._docker import Completed, Docker
from .._errors import FuelError
from ._recipe import pack
from ._spec import Spec, login_name_allowed

#: In ~/.ssh/environment, what follows this line are secrets. sshd skips lines that begin with `#`.
SECRETS_MARK = "# fuel-code: secrets"

_SSHD_CONFIG = """\
# Made by fuel_code.remote.dev_container. Used by `sshd -i`: no port is open and no daemon runs.
HostKey /etc/fuel-code/ssh_host_ed25519_key
AllowUsers {user}
PermitRootLogin no
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile /etc/fuel-code/authorized_keys .ssh/authorized_keys
StrictModes yes
UsePAM no
PermitUserEnvironment yes
AcceptEnv LANG LC_* COLORTERM TERM_PROGRAM
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
AllowAgentForwarding yes
X11Forwarding no
PermitTunnel no
PrintMotd no
PrintLastLog no
UseDNS no
PidFile none
LogLevel ERROR
ClientAliveInterval 60
MaxSessions 100
Subsystem sftp internal-sftp -d {workspace}
"""

_ENTER = """\
# Made by fuel_code.remote.dev_container. Read at the start of every login, interactive or not.
if [ -n "${{SSH_CONNECTION:-}}" ] && [ "${{SHLVL:-1}}" -le 1 ]; then
  # /etc/profile replaces the image's PATH.
  PATH={path}
  export PATH
  if [ "$PWD" = "$HOME" ]; then
    cd {workspace} 2>/dev/null || :
    # Launched from a folder of a repository: work begins there.
    [ ! -r .git/fuel-code/folder ] || cd -- "./$(cat .git/fuel-code/folder)" 2>/dev/null || :
  fi
fi
"""

#: Below it are keys that were let in when the environment was there already; they stay when it is prepared again.
LATER_MARK = "# fuel-code: let in later"

#: `sh -s`-free: constant text as the argument, data as a tar on stdin. $1 check|write, $2 user, $3 home, $4 workspace,
#: $5 keep|replace (the secrets that are there). Prints `uid NUMBER`, `changed NAME` and `host_key TYPE KEY`.
_PREPARE = r"""
set -eu
umask 077
mode=$1 user=$2 home=$3 workspace=$4 secrets=$5
dir=/etc/fuel-code
in=$(mktemp -d)
trap 'rm -rf "$in"' EXIT
tar -x --no-same-owner -C "$in" -f -
changed() { printf 'changed %s\n' "$1"; }
put() { # name, target, mode, owner
  cmp -s "$in/$1" "$2" && return
  changed "$1"
  [ "$mode" = write ] || return 0
  install -m "$3" -o "$4" -g "$5" "$in/$1" "$2.new"
  mv -f "$2.new" "$2"
}
group=$(id -g "$user")
printf 'uid %s\n' "$(id -u "$user")"
if [ "$mode" = write ]; then
  mkdir -p "$dir" /run/sshd
  chmod 755 "$dir" /run/sshd
  for folder in /workspaces "$workspace" "$home/.ssh"; do
    [ -d "$folder" ] || { mkdir -m 755 "$folder"; chown "$user:$group" "$folder"; }
  done
  [ "$(stat -c %u /workspaces)" != 0 ] || chown "$user:$group" /workspaces
fi
if [ "$secrets" = keep ] && [ -r "$home/.ssh/environment" ]; then
  sed -n '/^# fuel-code: secrets$/,$p' "$home/.ssh/environment" >>"$in/environment"
fi
put sshd_config "$dir/sshd_config" 644 root root
if [ -r "$dir/authorized_keys" ]; then
  sed -n '/^# fuel-code: let in later$/,$p' "$dir/authorized_keys" >>"$in/authorized_keys"
fi
put authorized_keys "$dir/authorized_keys" 644 root root
put enter.sh "$dir/enter.sh" 644 root root
put environment "$home/.ssh/environment" 600 "$user" "$group"
key=$dir/ssh_host_ed25519_key
if ! public=$(ssh-keygen -y -P '' -f "$key" 2>/dev/null); then
  changed host_key
  if [ "$mode" = write ]; then
    rm -f "$key" "$key.new" "$key.new.pub"
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$key.new"
    mv -f "$key.new" "$key"
    rm -f "$key.new.pub"
    public=$(ssh-keygen -y -P '' -f "$key")
  fi
fi
[ -z "$public" ] || printf 'host_key %s\n' "$public"
[ "$mode" != write ] || /usr/sbin/sshd -t -f "$dir/sshd_config"
"""


@dataclass(frozen=True)
class Login:
    """Who enters, and the host key that they must see."""

    user: str
    uid: int
    home: str
    host_key: str
    changed: Tuple[str, ...]


def session_environment(spec: Spec, image_env: Mapping[str, str], home: str) -> Dict[str, str]:
    """Image, then our own, then the blueprint's variables; the later win. Secrets are not in it."""
    values = {
        name: value
        for name, value in image_env.items()
        if login_name_allowed(name, from_image=True) and not re.search(r"[\x00\r\n]", value)
    }
    values.setdefault("LANG", "C.UTF-8")
    path = values.get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    values["PATH"] = f"{home}/.local/bin:{path}"
    values["FUEL_CODE_ENVIRONMENT"] = spec.environment_id
    values["FUEL_CODE_NAME"] = spec.name
    values.update(spec.env)
    return values


def login_files(spec: Spec, image_env: Mapping[str, str], user: str, home: str) -> Dict[str, str]:
    """The files that `prepare` puts in place, by name."""
    session = session_environment(spec, image_env, home)
    lines = [f"{name}={value}" for name, value in sorted(session.items())]
    if spec.secrets is not None:
        lines.append(SECRETS_MARK)
        lines += [f"{name}={value}" for name, value in sorted(spec.secrets.items())]
    return {
        "sshd_config": _SSHD_CONFIG.format(user=user, workspace=spec.workspace),
        "authorized_keys": "".join(f"{key}\n" for key in spec.authorized_keys),
        "enter.sh": _ENTER.format(path=shlex.quote(session["PATH"]), workspace=shlex.quote(spec.workspace)),
        "environment": "".join(f"{line}\n" for line in lines),
    }


def prepare(
    docker: Docker,
    spec: Spec,
    image_env: Mapping[str, str],
    user: str,
    home: str,
    *,
    check: bool = False,
) -> Login:
    """Put the login's files in place, make the host key, let sshd check its configuration: one call.

    With `check` nothing is written, and `host_key` may be empty.
    """
    files = login_files(spec, image_env, user, home)
    keep = "keep" if spec.secrets is None else "replace"
    argv = ["sh", "-c", _PREPARE, "prepare", "check" if check else "write", user, home, spec.workspace, keep]
    done = docker.exec(spec.names.container, argv, user="0", stdin=pack(files), check=False, timeout=120)
    if done.returncode != 0:
        raise _failed(done)
    changed: List[str] = []
    host_key: Optional[str] = None
    uid = 0
    for line in done.text.splitlines():
        word, _space, rest = line.partition(" ")
        if word == "changed":
            changed.append(rest)
        elif word == "uid" and rest.isdigit():
            uid = int(rest)
        elif word == "host_key" and re.fullmatch(r"ssh-ed25519 [A-Za-z0-9+/=]{40,200}( .*)?", rest):
            host_key = " ".join(rest.split()[:2])
    if host_key is None and not check:
        raise _failed(done)
    return Login(user, uid, home, host_key or "", tuple(changed))


def image_environment_of(image: Mapping[str, object]) -> Dict[str, str]:
    """`Config.Env` of an inspected image or container as a dict."""
    config = image.get("Config")
    entries = config.get("Env") if isinstance(config, dict) else None
    return dict(entry.split("=", 1) for entry in entries or [] if "=" in entry)


def _failed(done: Completed) -> FuelError:
    tail = done.error_text.splitlines()[-8:]
    last = json.dumps(tail[-1][:200]) if tail else f"exit code {done.returncode}"
    return FuelError(
        f"Failed to prepare the login inside the container: {last}",
        hint="if the container was changed by hand, end the environment and bring it up again",
        where="container",
        code="login_failed",
        details={"tail": tail, "rc": done.returncode},
    )
