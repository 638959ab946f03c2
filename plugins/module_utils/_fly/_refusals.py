# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Fly.io's refusals, each as one line that says what to do."""

from __future__ import annotations

from typing import Dict, Tuple

from .._errors import FuelError
from ._api import CERTIFICATE, ApiError

#: Fly.io's own word for it: our code, what is wrong, what to do.
CODES: Dict[str, Tuple[str, str, str]] = {
    CERTIFICATE: (
        "fly_certificate",
        "whoever answers there is not trusted, so nothing was sent",
        "check FLY_API_HOSTNAME; where your network opens TLS, have this machine trust its authority (SSL_CERT_FILE)",
    ),
    "insufficient_capacity": (
        "fly_capacity",
        "Fly.io has no room for this machine in the region",
        "choose another region or a smaller size, or run again later",
    ),
    "volume_placement_capacity": (
        "fly_capacity",
        "the host that holds the volume has no room for this machine",
        "choose a smaller size, or make a volume from its snapshot on another host",
    ),
    "name_taken": (
        "fly_name_taken",
        "the app's name is taken, maybe by somebody whose apps you cannot see",
        "choose another name: all of Fly.io shares them",
    ),
}
STATUSES: Dict[int, Tuple[str, str, str]] = {
    401: ("credentials", "Fly.io does not accept the token", "renew FLY_API_TOKEN: fly tokens create org"),
    403: ("permission", "Fly.io does not allow this token to do that", "use a token of the organization"),
    404: ("fly_missing", "Fly.io knows no such thing", "check the app's name, and whose the token is"),
    429: ("fly_busy", "Fly.io refuses more calls at this rate", "run again in a minute"),
}
#: How a refusal for want of room reads where it has no word of its own.
NO_ROOM = ("insufficient memory", "insufficient cpus", "insufficient resources", "no capacity")


def explain(error: ApiError, where: str = "") -> FuelError:
    """The error as a person can act on it; `where` is what it is about, the call itself without."""
    text = one_line(error.message)
    code, message, hint = "fly_refused", "Fly.io refuses", "see https://status.flyio.net and the message"
    if error.code in CODES:
        code, message, hint = CODES[error.code]
    elif any(each in error.message.lower() for each in NO_ROOM):
        code, message, hint = CODES["insufficient_capacity"]
    elif error.status in STATUSES:
        code, message, hint = STATUSES[error.status]
    elif not error.status:
        code, message = "fly_unreachable", "Fly.io does not answer"
        hint = "check the network and FLY_API_HOSTNAME, then run again: it finds what there is"
    elif error.status >= 500:
        code, message = "fly_broken", "Fly.io fails"
        hint = "run again: it finds what there is; see https://status.flyio.net"
    return FuelError(
        f"{message}: {text}" if text else message,
        hint=hint,
        where=where or error.call,
        code=code,
        details={"call": error.call, "status": error.status, "fly_code": error.code},
    )


def is_name_violation(error: ApiError) -> bool:
    """Whether a machine of this name is there already."""
    return error.status in (409, 422) and "unique machine name violation" in error.message


def is_leased(error: ApiError) -> bool:
    """Whether somebody else holds the machine's lease."""
    return error.status == 409 and "lease currently held" in error.message


def one_line(text: str, limit: int = 300) -> str:
    """The text as one line of printable characters."""
    joined = " ".join("".join(each if each.isprintable() else " " for each in text).split()).rstrip(".")
    return joined if len(joined) <= limit else f"{joined[: limit - 3]}..."
