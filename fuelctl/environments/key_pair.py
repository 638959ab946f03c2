# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment's key pair on the control plane, and which request its private half was given to."""

from __future__ import annotations

import hashlib
import hmac

from fuelctl import paths
from fuelctl._shared._errors import FuelError

#: Seconds for which whoever took the key, and lost the answer, can ask for it again.
ASK_AGAIN = 600.0


class KeyGoneError(FuelError):
    """The private half is not here any more."""


class KeyPair:
    """The files that module `ssh_keypair` made, and `taken-by`: the digest of the request that was answered."""

    def __init__(self, environment_id: str) -> None:
        folder = paths.key_folder(environment_id)
        self._private = folder / "id_ed25519"
        self._public = folder / "id_ed25519.pub"
        self._taken_by = folder / "taken-by"

    def exists(self) -> bool:
        """Whether the private half is here."""
        return self._private.exists()

    def read(self, name: str) -> dict[str, str]:
        """`{private_key, public_key}`; KeyGoneError, about environment `name`, when they cannot be read."""
        try:
            return {
                "private_key": self._private.read_text(encoding="ascii"),
                "public_key": self._public.read_text(encoding="ascii"),
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
            self._taken_by.unlink(missing_ok=True)
        else:
            paths.private_file(self._taken_by, _digest(request))

    def is_for(self, request: str | None) -> bool:
        """Whether it was given to this request and is still here."""
        if request is None or not self.exists():
            return False
        try:
            return hmac.compare_digest(self._taken_by.read_bytes(), _digest(request))
        except OSError:
            return False

    def forget(self) -> None:
        """Remove the private half: it is with whoever took it, and nowhere else."""
        self._private.unlink(missing_ok=True)
        self._taken_by.unlink(missing_ok=True)


def _digest(request: str) -> bytes:
    return hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest().encode("ascii")
