# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""What a machine's tags say besides whose it is: when it ends by itself, and who may connect because of it."""

from __future__ import annotations

import calendar
import time
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Set

from . import _refusals
from ._api import Api, ApiError
from ._view import Instance

EXPIRES_AT = "fuel-code:expires-at"
LET_IN = "fuel-code:let-in"
#: AWS's limit of a value.
LONGEST = 256
#: Of networks that do not fit: none of the group's rules is known to be without need.
ANY = "any"
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def stamp(seconds: float) -> str:
    """Epoch seconds as the tag has them."""
    return time.strftime(_TIME, time.gmtime(seconds))


def moment(text: str) -> Optional[float]:
    """Epoch seconds that a tag says; None where it says none."""
    try:
        return float(calendar.timegm(time.strptime(text, _TIME)))
    except ValueError:
        return None


def let_in(networks: Iterable[str]) -> str:
    """Networks as the tag has them."""
    text = " ".join(sorted(set(networks)))
    return text if len(text) <= LONGEST else ANY


def needs(tags: Mapping[str, str]) -> Optional[Set[str]]:
    """Networks that this machine's owner connects from; None where its tags do not say, so that it may be any."""
    said = tags.get(LET_IN)
    return None if said is None or said == ANY else set(said.split())


def put(api: Api, resources: Sequence[str], tags: Mapping[str, str]) -> None:
    """Tag these; a value that was there before is replaced."""
    pairs: List[Dict[str, str]] = [{"Key": name, "Value": value} for name, value in sorted(tags.items())]
    try:
        api.call("create_tags", Resources=list(resources), Tags=pairs)
    except ApiError as error:
        raise _refusals.explain(error, ", ".join(resources)) from error


def move_end(api: Api, instance: Instance, expires_at: int, *, check: bool = False) -> bool:
    """Have the machine, its disks and interfaces say that it ends at `expires_at` (epoch seconds), or later as they do.

    Returns whether that was something new.
    """
    before = moment(instance.tags.get(EXPIRES_AT, ""))
    if before is not None and before >= expires_at:
        return False
    if not check:
        put(api, [instance.instance_id, *instance.volumes, *instance.interfaces], {EXPIRES_AT: stamp(expires_at)})
    return True
