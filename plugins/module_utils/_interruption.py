# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a cloud says it will do with the machine that this runs on: EC2's notice that a spot machine is taken back."""

from __future__ import annotations

import http.client
import json
import re
from typing import Dict, Optional

from . import _machine_timer

_SERVICE = "169.254.169.254"
#: Seconds for an answer: the service is the machine's neighbour.
_PATIENCE = 1.0
_LARGEST = 4096


def notice(service: str = _SERVICE, *, ours: Optional[bool] = None) -> Optional[Dict[str, str]]:
    """`{action, time}`, or None: there is none, nobody answers, or this is no machine of ours, which is not asked."""
    if not (_machine_timer.present() if ours is None else ours):
        return None
    try:
        token = _ask(service, "PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
        said = json.loads(
            _ask(service, "GET", "/latest/meta-data/spot/instance-action", "X-aws-ec2-metadata-token", token)
        )
        action, time = str(said["action"]), str(said["time"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    if not re.fullmatch(r"[a-z-]{1,20}", action) or not re.fullmatch(r"[0-9TZ:.+-]{1,40}", time):
        return None
    return {"action": action, "time": time}


def _ask(service: str, method: str, path: str, header: str, value: str) -> str:
    # By no proxy: none knows this address.
    connection = http.client.HTTPConnection(service, timeout=_PATIENCE)
    try:
        connection.request(method, path, headers={header: value})
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise ValueError("there is none")
        return answer.read(_LARGEST).decode("ascii")
    finally:
        connection.close()
