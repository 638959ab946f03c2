# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's own token: good for what it says of itself, dead at its end. Only its SHA-256 is stored."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Set
from functools import partial

from fuelctl.store import environments
from fuelctl.store.database import Database
from fuelctl.store.together import Together


class OwnTokens:
    """Whose token it is, asked of the database each time: no process goes on believing one that is dead.

    Of thousands of machines that tell something every 30 s each comes with its token, and a statement for each would
    cost more than everything else about a heartbeat. Who comes at the same time shares one.
    """

    def __init__(self) -> None:
        self._known: Together[str, tuple[str, str]] = Together()

    def whose(self, database: Database, token: str) -> str | None:
        """The id of the environment whose own token this is; None for none, and once it has ended."""
        given = hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
        found = self._known.ask(given, partial(_read, database))
        # Found by its digest, which tells nothing of the token; compared all the same, as everywhere.
        return found[1] if found is not None and hmac.compare_digest(given, found[0]) else None


def _read(database: Database, digests: Set[str]) -> dict[str, tuple[str, str]]:
    with database.glance() as connection:
        return {digest: (digest, one_id) for one_id, digest in environments.of_tokens(connection, digests)}
