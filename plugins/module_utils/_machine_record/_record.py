# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""The record of what was found, kept on the machine itself: it outlives whoever wrote it, and goes last of all."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from .._errors import FuelError
from ._look import Parts

FOLDER = "/var/lib/fuel-code"
NAME = "found.json"
_FILE = f"{FOLDER}/{NAME}"
_FORMAT = 1


@dataclass
class Record:
    """`found`: what `look` saw before anything was changed.

    :param environments: id -> epoch seconds at which it last began to be made.
    :param images: references of images that environments asked for.
    """

    found: Dict[str, Any]
    environments: Dict[str, float] = field(default_factory=dict)
    images: List[str] = field(default_factory=list)


def read(parts: Parts) -> Optional[Record]:
    """The record; None when there is none. FuelError for one that cannot be read: without it nothing is taken away."""
    path = parts.path(_FILE)
    try:
        with open(path, encoding="utf-8") as stream:
            document = json.load(stream)
        if document["format"] != _FORMAT:
            raise ValueError(f"format {document['format']}")
        return Record(dict(document["found"]), dict(document["environments"]), list(document["images"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FuelError(
            f"the record of what was found on this machine cannot be read: {error}",
            where=path,
            hint="without it nobody knows what to take away: look yourself, then remove that file",
            code="bad_record",
        ) from error


def write(parts: Parts, record: Record) -> None:
    """Write it, all or nothing."""
    path = parts.path(_FILE)
    document = {
        "format": _FORMAT,
        "found": record.found,
        "environments": record.environments,
        "images": record.images,
    }
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(document, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(f"{path}.new", path)


def forget(parts: Parts) -> None:
    """Remove it, and its folder when nothing else is in there; harmless when it is not there."""
    for path in (f"{parts.path(_FILE)}.new", parts.path(_FILE)):
        if os.path.lexists(path):
            os.unlink(path)
    for folder in (f"{FOLDER}/locks", FOLDER):
        with suppress(OSError):
            os.rmdir(parts.path(folder))
