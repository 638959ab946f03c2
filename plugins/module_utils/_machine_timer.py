# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The timer that powers a machine of ours off, as it is on that machine: read back, and moved.

A machine that we did not make has none, and then nothing here touches it.
"""

from __future__ import annotations

import calendar
import os
import re
import time
from typing import Optional

from ._docker import Run, run_command
from ._ec2 import _user_data
from ._errors import FuelError

_AT = re.compile(r"^OnCalendar=(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC$", re.MULTILINE)
_UNIT = f"{_user_data.UNIT}.timer"


def present(path: str = _user_data.TIMER_PATH) -> bool:
    """Whether this machine ends by a timer of ours."""
    return os.path.exists(path)


def deadline(run: Run = run_command, path: str = _user_data.TIMER_PATH) -> int:
    """When the machine powers itself off, epoch seconds. FuelError unless systemd says that the timer waits for it."""
    at = _written(path)
    shown = run(["systemctl", "show", "--property=ActiveState,TimersCalendar", "--", _UNIT], None, 30)
    if shown.returncode != 0 or at is None:
        raise _unarmed(f"there is no {_UNIT}", shown.error_text)
    if "ActiveState=active" not in shown.text.splitlines():
        raise _unarmed(f"{_UNIT} does not run", shown.text)
    if _user_data.calendar(at) not in shown.text:
        raise _unarmed(f"{_UNIT} waits for another time than its file says", shown.text)
    return at


def move(expires_at: int, run: Run = run_command, path: str = _user_data.TIMER_PATH) -> None:
    """Have the timer wait for this time. FuelError when systemd does not confirm it."""
    with open(f"{path}.new", "w", encoding="ascii") as stream:
        stream.write(_user_data.timer(expires_at))
    os.replace(f"{path}.new", path)
    for arguments in (["daemon-reload"], ["restart", "--", _UNIT]):
        done = run(["systemctl", *arguments], None, 60)
        if done.returncode != 0:
            raise _unarmed(f"systemctl {arguments[0]} failed", done.error_text)
    deadline(run, path)


def _written(path: str) -> Optional[int]:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            found = _AT.search(stream.read(4096))
    except OSError:
        return None
    return calendar.timegm(time.strptime(found.group(1), "%Y-%m-%d %H:%M:%S")) if found else None


def _unarmed(message: str, said: str) -> FuelError:
    return FuelError(
        f"The machine's watchdog is not armed: {message}",
        hint="end the environment and bring it up again; nothing but you would end this machine",
        where=_UNIT,
        code="machine_watchdog",
        details={"tail": said.splitlines()[-8:]},
    )
