# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The machine's user-data: its host key, and the watchdog, armed before anything else. Pure.

The watchdog is a systemd timer at an absolute time whose service powers the machine off, which terminates the instance.
It needs no server, no network and no credentials. cloud-init's bootcmd is the earliest place to arm it; there a
`systemctl start` that waits would wait for ever, because the boot waits for cloud-init.
"""

from __future__ import annotations

import json
import time
from typing import Any, Dict, Sequence

from .._errors import UsageError

UNIT = "fuel-code-watchdog"
SERVICE_PATH = f"/etc/systemd/system/{UNIT}.service"
TIMER_PATH = f"/etc/systemd/system/{UNIT}.timer"

SERVICE = """\
[Unit]
Description=The time of this machine is up

[Service]
Type=oneshot
ExecStart=/bin/systemctl --no-block poweroff
"""

_TIMER = """\
[Unit]
Description=When the time of this machine is up

[Timer]
OnCalendar={at}
AccuracySec=1s
Persistent=true
Unit={unit}.service

[Install]
WantedBy=timers.target
"""

#: $1 the deadline in epoch seconds, $2 service, $3 timer, $4 and $5 their texts. Written once, so that a reboot takes
#: back no later deadline. A time that has passed already would never come: systemd counts from the first start.
_ARM = """\
set -eu
if [ ! -e "$3" ]; then
  printf %s "$4" >"$2"
  printf %s "$5" >"$3.new"
  mv -f "$3.new" "$3"
  mkdir -p /etc/systemd/system/timers.target.wants
  ln -sf "$3" /etc/systemd/system/timers.target.wants/
  systemctl daemon-reload
  if [ "$(date +%s)" -ge "$1" ]; then
    systemctl --no-block poweroff
  fi
fi
systemctl --no-block start "${3##*/}"
"""


def calendar(expires_at: int) -> str:
    """The time as systemd's OnCalendar takes it, in UTC, which knows no daylight saving."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(expires_at))


def timer(expires_at: int) -> str:
    """The timer unit for this deadline (epoch seconds)."""
    return _TIMER.format(at=calendar(expires_at), unit=UNIT)


def render(
    *, expires_at: int, host_key: str, host_key_public: str, login: str = "", authorized_keys: Sequence[str] = ()
) -> str:
    """`#cloud-config` with the watchdog and an ed25519 host key pair (OpenSSH's formats), as JSON, which is YAML.

    `login` renames the image's default user, so that it is the same on every distribution; `authorized_keys` let it in.

    The private host key can be read on the machine: it is for the first contact, over which it is replaced.
    """
    if "PRIVATE KEY" not in host_key or not host_key_public.startswith("ssh-ed25519 "):
        raise UsageError("the host key is no ed25519 key pair in OpenSSH's formats", hint="make it with ssh_keypair")
    arm = ["sh", "-c", _ARM, UNIT, str(expires_at), SERVICE_PATH, TIMER_PATH, SERVICE, timer(expires_at)]
    config: Dict[str, Any] = {
        "bootcmd": [arm],
        "ssh_deletekeys": True,
        "ssh_genkeytypes": ["ed25519"],
        "ssh_keys": {"ed25519_private": host_key, "ed25519_public": host_key_public},
    }
    if login:
        config["user"] = {"name": login}
    if authorized_keys:
        config["ssh_authorized_keys"] = list(authorized_keys)
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"
