# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures as Standard Webhooks has them (standardwebhooks.com), for which receivers find a library. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from fuelctl._shared._errors import UsageError

_PREFIX = "whsec_"
_SHORTEST = 16


def key(secret: str) -> bytes:
    """The key in a secret's text: `whsec_` and base64, or the text itself; UsageError when it is too short."""
    text = secret.strip()
    try:
        found = (
            base64.b64decode(text.removeprefix(_PREFIX), validate=True) if text.startswith(_PREFIX) else text.encode()
        )
    except binascii.Error as error:
        raise UsageError("what follows whsec_ is no base64", hint="make a new secret", code="bad_settings") from error
    if len(found) < _SHORTEST:
        raise UsageError(
            f"the secret is shorter than {_SHORTEST} bytes", hint="openssl rand -base64 32", code="bad_settings"
        )
    return found


def headers(of: bytes, delivery_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers by which a receiver knows who sent `body`, when, and whether it has it already."""
    signed = f"{delivery_id}.{timestamp}.".encode("ascii") + body
    digest = base64.b64encode(hmac.new(of, signed, hashlib.sha256).digest()).decode("ascii")
    return {"webhook-id": delivery_id, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{digest}"}
