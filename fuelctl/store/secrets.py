# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of a run in flight: encrypted under a key that is not in the database, and dropped when the run has ended."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from fuelctl import paths
from fuelctl._shared._errors import FuelError
from fuelctl.store.database import Database
from fuelctl.store.models import SecretRow, SettingRow

_KEY = "secret_key"
#: Not a name that a caller may use: where the environment's own callback token waits to be delivered.
CALLBACK_TOKEN = ".callback_token"  # noqa: S105 - a row's name, not a password


class Safe:
    """Encrypts and decrypts with the key in `key_file` (0600), which it makes when there is none."""

    def __init__(self, key_file: Path) -> None:
        self.key_file = key_file
        self._key = self._load()
        try:
            self._fernet = Fernet(self._key)
        except ValueError as error:
            raise FuelError(
                "it is not a key: it is damaged, or something else was written there",
                hint="put a copy back; or move it away, and runs that were under way have to be started again",
                where=str(key_file),
                code="secrets_lost",
            ) from error

    def put(self, session: Session, environment_id: str, values: dict[str, str]) -> None:
        """Keep `values` (name -> secret) for this environment."""
        for name, value in values.items():
            ciphertext = self.encrypt(value.encode("utf-8"))
            session.merge(SecretRow(environment_id=environment_id, name=name, ciphertext=ciphertext))

    def take(self, session: Session, environment_id: str) -> dict[str, str]:
        """What is kept for this environment."""
        rows = session.scalars(select(SecretRow).where(SecretRow.environment_id == environment_id))
        return {row.name: self.decrypt(row.ciphertext).decode("utf-8") for row in rows}

    def encrypt(self, content: bytes) -> bytes:
        """What only this key makes readable again."""
        return self._fernet.encrypt(content)

    def decrypt(self, ciphertext: bytes) -> bytes:
        """What `encrypt` was given; FuelError when the key is another one now."""
        try:
            return self._fernet.decrypt(ciphertext)
        except InvalidToken as error:
            raise FuelError(
                "the secrets of this run cannot be decrypted: the key file is another one",
                hint="run fuelctl down and up again",
                where=str(self.key_file),
                code="secrets_lost",
            ) from error

    def fingerprint(self, content: bytes) -> str:
        """A keyed digest: tells two requests apart without letting anybody test guesses of what is in them."""
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()

    def _load(self) -> bytes:
        try:
            paths.private_folder(self.key_file.parent)
            if not self.key_file.exists():
                draft = paths.private_file(self.key_file.with_suffix(f".{os.getpid()}"), Fernet.generate_key())
                # A link never replaces: of two that start at once, one key is taken by both.
                with contextlib.suppress(FileExistsError):
                    os.link(draft, self.key_file)
                draft.unlink()
            return self.key_file.read_bytes().strip()
        except OSError as error:
            raise paths.storage_error(error, self.key_file) from error


def agree_on_key(database: Database, safe: Safe) -> None:
    """FuelError when this process has another key than the others of its team: what one keeps no other could read."""
    if database.is_sqlite:
        return
    mine = {"fingerprint": safe.fingerprint(b"fuelctl")}
    with database.write() as session:
        known = session.get(SettingRow, _KEY, with_for_update=True)
        if known is None:
            session.execute(insert(SettingRow).values(name=_KEY, value=mine).on_conflict_do_nothing())
            known = session.get_one(SettingRow, _KEY)
        if known.value != mine:
            raise FuelError(
                "it is not the key of this team's servers and workers",
                hint="copy theirs (secret.key, 0600) there, or name it by secret_key_file",
                where=str(safe.key_file),
                code="other_key",
            )


def drop(session: Session, environment_id: str) -> None:
    """The run has ended: nothing of its secrets stays."""
    session.execute(delete(SecretRow).where(SecretRow.environment_id == environment_id))
