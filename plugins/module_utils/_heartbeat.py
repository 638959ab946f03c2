# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The heartbeat of a machine: a systemd timer that tells the control plane every 30 s what is done in one environment.

On a machine of ours it asks the machine's cloud every few seconds whether that takes it back, and tells that at once.
It needs sh, curl and the Docker command line. Where one of them or systemd is missing there is none, and the control
plane asks by SSH as it would without. It goes with its environment, by itself too when the environment has ended while
nobody was there.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import Dict, List

from . import _machine_timer
from ._activity import SAMPLE
from ._docker import Run, run_command
from ._ec2 import _user_data
from ._errors import FuelError, UsageError
from ._identity import check_environment_id

#: Seconds between two.
EVERY = 30
#: Seconds between two looks at what the cloud of a machine of ours says.
LOOK_EVERY = 5
_FOLDER = "/var/lib/fuel-code/heartbeat"
_UNITS = "/etc/systemd/system"
_SYSTEMD = "/run/systemd/system"
_URL = re.compile(r"https?://[!-~]{1,1000}")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{8,1024}")

#: Beside it lie: `unit`, `container`, `sample` (what is run in the container), `url`, and `header` with the token. On a
#: machine of ours it leaves there when it beat last (`last`, the machine's uptime), and which notice arrived (`told`).
SCRIPT = r"""#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
folder=$1 metadata=${2:-http://169.254.169.254}
cd "$folder" || exit 0
unit=$(cat unit) && container=$(cat container) && url=$(cat url) || exit 0

# A machine of ours may be taken back by its cloud, which says so two minutes before. That is told at once, and without
# what else there is to tell; as long as there is nothing of the kind, the next beat is waited for.
notice=null urgent=
if [ -e @TIMER@ ]; then
  token=$(curl -s --fail --noproxy '*' --max-time 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
    "$metadata/latest/api/token") &&
    said=$(printf 'X-aws-ec2-metadata-token: %s' "$token" |
      curl -s --fail --noproxy '*' --max-time 2 -H @- "$metadata/latest/meta-data/spot/instance-action") &&
    said=$(printf %s "$said" | tr -d '\n' |
      sed -n 's/.*"action" *: *"\([a-z-]*\)".*"time" *: *"\([0-9TZ:.+-]*\)".*/{"action":"\1","time":"\2"}/p') &&
    notice=${said:-null}
  now=$(cut -d. -f1 /proc/uptime) last=$(cat last 2>/dev/null)
  # None, or one that a power cut left half written: it is due.
  case $last in "" | *[!0-9]*) waited=@DUE@ ;; *) waited=$((now - last)) ;; esac
  if [ "$notice" != null ] && [ "$notice" != "$(cat told 2>/dev/null)" ]; then
    urgent=1
  elif [ "$waited" -ge 0 ] && [ "$waited" -lt @DUE@ ]; then
    exit 0
  else
    echo "$now" >last
  fi
fi

sample=null
if [ -z "$urgent" ]; then
  # Whether the engine says so itself: one that does not answer proves nothing.
  if found=$(timeout 10 docker ps --all --quiet --filter "name=^/$container\$") && [ -z "$found" ]; then
    systemctl disable --now "$unit.timer"
    rm -f "/etc/systemd/system/$unit.timer" "/etc/systemd/system/$unit.service"
    cd / && rm -rf "$folder"
    systemctl daemon-reload
    exit 0
  fi
  # What a container says is words, and no more of them than fit: nothing of it is ever run or quoted.
  sample=$(echo | timeout 20 docker exec --interactive --user 0 "$container" sh -c "$(cat sample)" 2>/dev/null |
    LC_ALL=C tr -cd 'A-Za-z0-9 ._/\n-' | head -c 16000 | tr '\n' '|')
  [ -n "$sample" ] && sample="\"$sample\"" || sample=null
fi

# The token is read from its file (0600) by curl itself: no command line shows it.
printf '{"sample":%s,"at":%s,"boot":"%s","notice":%s}' \
  "$sample" "$(date +%s)" "$(cat /proc/sys/kernel/random/boot_id)" "$notice" |
  curl -sS --fail --connect-timeout 5 --max-time 10 --proto '=http,https' --max-redirs 0 -o /dev/null \
    -H 'Content-Type: application/json' -H @header --data-binary @- -- "$url" &&
  [ "$notice" != null ] && printf %s "$notice" >told
exit 0
""".replace("@TIMER@", _user_data.TIMER_PATH).replace("@DUE@", str(EVERY - LOOK_EVERY))

_SERVICE = """\
[Unit]
Description=What is done in an environment

[Service]
Type=oneshot
ExecStart=/bin/sh {folder}/beat {folder}
TimeoutStartSec=60
Nice=10
LogLevelMax=notice
StandardOutput=null
StandardError=null
"""

_TIMER = """\
[Unit]
Description=Tells what is done in an environment

[Timer]
OnActiveSec=5
OnUnitInactiveSec={every}
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Place:
    """Where things are on this machine; tests give their own."""

    root: str = ""
    run: Run = run_command

    def path(self, name: str) -> str:
        """Where `name` is."""
        return self.root + name

    def can(self) -> bool:
        """Whether a timer can be had here."""
        tools = all(shutil.which(name) for name in ("systemctl", "curl", "timeout"))
        return tools and os.path.isdir(self.path(_SYSTEMD)) and os.access(self.path(_UNITS), os.W_OK)


def unit_of(environment_id: str) -> str:
    """The unit's name, without its kind."""
    return f"fuel-code-heartbeat-{check_environment_id(environment_id).lower()}"


def arm(environment_id: str, container: str, url: str, token_file: str, place: Place = Place()) -> bool:
    """Have the timer run; whether anything was changed. FuelError when systemd does not take it.

    `token_file` is read, and copied into a file that root alone can read.
    """
    if not _URL.fullmatch(url):
        raise UsageError("the heartbeat's address is no http(s) address", code="bad_callback")
    try:
        with open(token_file, encoding="ascii") as stream:
            token = stream.read(4096).strip()
    except (OSError, ValueError) as error:
        raise FuelError("cannot read the callback's token", where=token_file, code="bad_callback") from error
    if not _TOKEN.fullmatch(token):
        raise UsageError("the callback's token is not one", where=token_file, code="bad_callback")
    unit, folder = unit_of(environment_id), f"{_FOLDER}/{environment_id}"
    ours = _machine_timer.present(place.path(_user_data.TIMER_PATH))
    files: Dict[str, str] = {
        f"{folder}/unit": unit,
        f"{folder}/container": container,
        f"{folder}/sample": SAMPLE,
        f"{folder}/url": url,
        f"{folder}/header": f"Authorization: Bearer {token}\n",
        f"{folder}/beat": SCRIPT,
        f"{_UNITS}/{unit}.service": _SERVICE.format(folder=folder),
        f"{_UNITS}/{unit}.timer": _TIMER.format(every=LOOK_EVERY if ours else EVERY),
    }
    os.makedirs(place.path(folder), mode=0o700, exist_ok=True)
    changed = [
        name for name, text in files.items() if _put(place.path(name), text, 0o644 if "/systemd/" in name else 0o600)
    ]
    asked = place.run(["systemctl", "is-active", "--quiet", f"{unit}.timer"], None, 30)
    if not changed and asked.returncode == 0:
        return False
    for arguments in (["daemon-reload"], ["enable", "--now", "--", f"{unit}.timer"]):
        done = place.run(["systemctl", *arguments], None, 60)
        if done.returncode != 0:
            raise FuelError(
                f"systemd does not take the heartbeat's timer: {done.error_text[-200:]}",
                hint="look at it: systemctl status " + unit,
                where=unit,
                code="heartbeat_failed",
            )
    return True


def armed(environment_id: str, place: Place = Place()) -> bool:
    """Whether anything of it is on this machine."""
    return any(os.path.lexists(place.path(path)) for path in _traces(environment_id))


def disarm(environment_id: str, place: Place = Place()) -> bool:
    """Leave no trace of it; whether that is so. Safe to repeat."""
    unit = unit_of(environment_id)
    if not armed(environment_id, place):
        return True
    place.run(["systemctl", "disable", "--now", "--", f"{unit}.timer"], None, 60)
    place.run(["systemctl", "stop", "--", f"{unit}.service"], None, 60)
    for path in _traces(environment_id):
        with suppress(OSError):
            if os.path.isdir(place.path(path)):
                shutil.rmtree(place.path(path))
            else:
                os.unlink(place.path(path))
    with suppress(OSError):
        os.rmdir(place.path(_FOLDER))
    place.run(["systemctl", "daemon-reload"], None, 60)
    place.run(["systemctl", "reset-failed", "--", f"{unit}.timer", f"{unit}.service"], None, 60)
    return not armed(environment_id, place)


def _traces(environment_id: str) -> List[str]:
    unit = unit_of(environment_id)
    units = [f"{_UNITS}/timers.target.wants/{unit}.timer", f"{_UNITS}/{unit}.timer", f"{_UNITS}/{unit}.service"]
    return [*units, f"{_FOLDER}/{check_environment_id(environment_id)}"]


def _put(path: str, text: str, mode: int) -> bool:
    """Have exactly this text in the file, never readable by more than `mode` says; whether it had another."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            if stream.read() == text:
                return False
    except OSError:
        pass
    with suppress(FileNotFoundError):
        os.unlink(f"{path}.new")
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(f"{path}.new", path)
    return True
