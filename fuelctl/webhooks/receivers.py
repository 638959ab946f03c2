# SPDX-License-Identifier: GPL-3.0-or-later
"""The receivers of a control plane: its settings, checked when it starts, with their keys."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.config import Settings, Webhook
from fuelctl.webhooks.guard import Network, networks
from fuelctl.webhooks.send import split
from fuelctl.webhooks.signature import key

_LARGEST_SECRET = 4096


@dataclass(frozen=True)
class Receiver:
    """Where to, what, and signed by what."""

    name: str
    url: str
    events: tuple[str, ...]
    key: bytes = field(repr=False)

    @property
    def host(self) -> str:
        """Whose it is; of some receivers the path is a secret."""
        return split(self.url).netloc

    def wants(self, type_: str) -> bool:
        """Whether one of its patterns means this type of event."""
        return any(fnmatchcase(type_, pattern) for pattern in self.events)


@dataclass(frozen=True)
class Receivers:
    """All of them, and the networks in which they may be although those are not public."""

    known: Sequence[Receiver] = ()
    allowed: Sequence[Network] = ()


def load(settings: Settings) -> Receivers:
    """Those of the settings; FuelError that names the one at fault."""
    return Receivers([_receiver(each) for each in settings.webhooks], networks(settings.webhook_networks))


def _receiver(wanted: Webhook) -> Receiver:
    split(wanted.url)
    file = Path(wanted.secret_file).expanduser()
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as opened:
            mode = os.fstat(descriptor).st_mode
            text = opened.read(_LARGEST_SECRET).decode("utf-8", "replace")
    except OSError as error:
        raise FuelError(
            f"cannot read the secret of webhook {wanted.name}: {error.strerror}",
            hint="openssl rand -base64 32 > FILE; chmod 600 FILE",
            where=str(file),
            code="bad_settings",
        ) from error
    if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"others can read the secret of webhook {wanted.name}",
            hint=f"chmod 600 {file}",
            where=str(file),
            code="bad_settings",
        )
    return Receiver(wanted.name, wanted.url, wanted.events, key(text))
