# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a machine needs before a module can run on it: to let us in, a Python, and root. Asked with a shell alone."""

from __future__ import annotations

import re
import shlex
from typing import Any, Dict, Mapping, Tuple

from ._errors import FuelError

#: Arguments of the action `machine_entry`.
ARGUMENTS: Dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "python": {"type": "str", "default": "/usr/bin/python3"},
    "sudo": {"type": "bool"},
}
#: What ansible-core needs on a machine.
_OLDEST_PYTHON = (3, 8)
_MARK = "fuel-code"
#: Lines of its own, because a login shell may say something too; any shell can be the one that reads `sh -c`.
_PROBE = """\
echo {mark} uid $(id -u)
if command -v {python} >/dev/null 2>&1; then
  echo {mark} python $({python} -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo broken)
fi
command -v sudo >/dev/null 2>&1 && echo {mark} sudo $(sudo -n true >/dev/null 2>&1 && echo yes || echo password)
for each in apt-get dnf yum zypper apk pacman; do
  command -v $each >/dev/null 2>&1 && echo {mark} packages $each && break
done
true
"""
_INSTALL = {
    "apt-get": "apt-get update && apt-get install python3",
    "dnf": "dnf install python3",
    "yum": "yum install python3",
    "zypper": "zypper install python3",
    "apk": "apk add python3",
    "pacman": "pacman -S python",
}
#: What OpenSSH says -> what is wrong, what to do, and the code.
_REFUSALS: Tuple[Tuple[str, str, str, str], ...] = (
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED|No .{1,40} host key is known",
        "it shows another host key than the one that is believed (Host key verification failed)",
        "this is another machine, or somebody is between; where its key was really changed, correct your known_hosts",
        "wrong_host_key",
    ),
    (
        r"Permission denied|Too many authentication failures",
        "it does not let this user in (Permission denied)",
        "see that your key is in its authorized_keys; a key with a passphrase needs an agent",
        "ssh_denied",
    ),
    (
        r"timed out",
        "its SSH server does not answer in time",
        "see that the machine runs, that this one may connect to it, and how busy it is; give it longer by `timeout`",
        "ssh_timeout",
    ),
)


def probe(python: str) -> str:
    """The command that asks; `python` is a path or a name, or Ansible's `auto` and the like."""
    name = "python3" if python.startswith("auto") else python
    return "sh -c " + shlex.quote(_PROBE.format(mark=_MARK, python=shlex.quote(name)))


def entered(params: Mapping[str, Any], code: int, said: str) -> Dict[str, Any]:
    """`{uid, become, python}` from the probe's answer; FuelError for what is missing there."""
    name = params["name"]
    facts = dict(re.findall(rf"^{_MARK} (uid|python|sudo|packages) (\S+)\s*$", said, re.MULTILINE))
    if not facts.get("uid", "").isdigit():
        raise FuelError(
            f"it lets us in, but runs no shell (exit code {code}): {_last(said)}",
            where=name,
            hint="the user needs a login shell and `id`; see what `ssh` shows there",
            code="no_shell",
        )
    uid = int(facts["uid"])
    become = uid != 0 if params["sudo"] is None else params["sudo"]
    _check_python(name, params["python"], facts)
    if become and facts.get("sudo") != "yes":
        raise FuelError(
            "its user may not use sudo without a password" if "sudo" in facts else "it has no sudo",
            where=name,
            hint="log in as root, or let that user: NOPASSWD:ALL in /etc/sudoers.d",
            code="no_sudo",
        )
    return {"changed": False, "uid": uid, "become": become, "python": facts["python"]}


def _check_python(name: str, wanted: str, facts: Mapping[str, str]) -> None:
    found = re.fullmatch(r"(\d+)\.(\d+)", facts.get("python", ""))
    if found and (int(found[1]), int(found[2])) >= _OLDEST_PYTHON:
        return
    needed = "%d.%d" % _OLDEST_PYTHON
    command = _INSTALL.get(facts.get("packages", ""), f"install Python {needed} or newer")
    if found:
        raise FuelError(
            f"its Python is {found[0]}, and {needed} is needed: {wanted}",
            where=name,
            hint="name a newer one that is there by `python`, for example /usr/bin/python3.11",
            code="old_python",
        )
    raise FuelError(
        f"it has no Python at {wanted}" if "python" not in facts else f"its Python does not work: {wanted}",
        where=name,
        hint=f"install one there: {command}; or name another by `python`",
        code="no_python",
    )


def refusal(name: str, said: str) -> FuelError:
    """Why a connection could not be made, from what the connection's program said."""
    for pattern, message, hint, code in _REFUSALS:
        if re.search(pattern, said, re.IGNORECASE):
            return FuelError(message, where=name, hint=hint, code=code)
    return FuelError(
        f"it cannot be entered: {_last(said)}",
        where=name,
        hint="see that the machine runs, and that `ssh` gets there from here",
        code="unreachable",
    )


def _last(said: str) -> str:
    """The last line that says something, without what a terminal would obey."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return re.sub(r"[^ -~]", "?", lines[-1])[:200] if lines else "it said nothing"
