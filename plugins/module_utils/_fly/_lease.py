# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A machine's lease: who holds its nonce is the only one who may change the machine.

A run that is killed leaves its lease behind, which ends by itself; so it is short, and the next run waits that long.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator

from .._errors import FuelError
from ._api import Api, ApiError, place
from ._refusals import is_leased, one_line

#: Seconds. What is done under a lease is one call, whose answer comes at once.
TTL = 20
INTERVAL = 1.0


@contextmanager
def held(api: Api, app: str, machine_id: str, why: str, patience: float = 3.0 * TTL) -> Iterator[str]:
    """The nonce; FuelError when somebody else keeps the lease for longer than `patience` seconds."""
    path = place("apps", app, "machines", machine_id, "lease")
    nonce = _acquire(api, path, machine_id, why, patience)
    try:
        yield nonce
    finally:
        try:
            api.call("DELETE", path, nonce=nonce)
        except ApiError:
            # It ends by itself; and of a machine that was destroyed there is none any more.
            pass


def _acquire(api: Api, path: str, machine_id: str, why: str, patience: float) -> str:
    begun = api.clock()
    while True:
        try:
            answer = api.call("POST", path, {"ttl": TTL, "description": f"fuel_code: {why}"}) or {}
            return str((answer.get("data") or answer)["nonce"])
        except ApiError as error:
            if not is_leased(error):
                raise
            if api.clock() - begun + INTERVAL > patience:
                raise FuelError(
                    f"somebody else is changing the machine: {one_line(error.message)}",
                    hint="run again when that has ended, or release it: fly machine leases clear",
                    where=machine_id,
                    code="fly_leased",
                ) from error
        api.sleep(INTERVAL)
