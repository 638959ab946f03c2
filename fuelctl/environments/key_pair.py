# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's key pair on the control plane, and which request its private half was given to."""

from __future__ import annotations

import hashlib
import hmac

from fuelctl._shared._errors import FuelError
from fuelctl.store.files import Files, keys_key

#: Seconds for which whoever took the key, and lost the answer, can ask for it again.
ASK_AGAIN = 600.0


class KeyGoneError(FuelError):
    """The private half is not here any more."""


class KeyPair:
    """The files that module `ssh_keypair` made, and `taken-by`: the digest of the request that was answered."""

    def __init__(self, files: Files, environment_id: str) -> None:
        folder = keys_key(environment_id)
        self._files = files
        self._private = f"{folder}/id_ed25519"
        self._public = f"{folder}/id_ed25519.pub"
        self._taken_by = f"{folder}/taken-by"

    def exists(self) -> bool:
        """Whether the private half is here."""
        return self._files.size(self._private) is not None

    def read(self, name: str) -> dict[str, str]:
        """`{private_key, public_key}`; KeyGoneError, about environment `name`, when they cannot be read."""
        try:
            return {
                "private_key": self._files.read(self._private).decode("ascii"),
                "public_key": self._files.read(self._public).decode("ascii"),
            }
        except OSError as error:
            raise KeyGoneError(
                f"the key of {name} is not there any more",
                hint=f"replace the environment: fuelctl down {name}, then fuelctl up",
                code="key_gone",
            ) from error

    def give_to(self, request: str | None) -> None:
        """Remember which request gets it. Before the row says that it was served: a crash may come between."""
        if request is None:
            self._files.delete(self._taken_by)
        else:
            self._files.put(self._taken_by, _digest(request), private=True)

    def is_for(self, request: str | None) -> bool:
        """Whether it was given to this request and is still here."""
        if request is None or not self.exists():
            return False
        try:
            return hmac.compare_digest(self._files.read(self._taken_by), _digest(request))
        except OSError:
            return False

    def forget(self) -> None:
        """Remove the private half: it is with whoever took it, and nowhere else."""
        self._files.delete(self._private)
        self._files.delete(self._taken_by)


def _digest(request: str) -> bytes:
    return hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest().encode("ascii")
