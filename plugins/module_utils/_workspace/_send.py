# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""A source on the controller as the one tar file that travels to another machine."""

from __future__ import annotations

import os
import shutil
import tarfile

from .._errors import FuelError
from ._place import open_source, plain


def pack_source(path: str, target: str) -> None:
    """Write the tar of the source bundle at `path` (folder, tar or repository) to `target`."""
    try:
        if os.path.isfile(path):
            shutil.copyfile(path, target)
            return
        with open_source(path) as (folder, _description):
            with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
                for name in sorted(os.listdir(folder)):
                    archive.add(os.path.join(folder, name), name, filter=plain)
    except OSError as error:
        raise FuelError(
            f"cannot pack the source: {error.strerror or error}", where=str(error.filename or path), code="send_failed"
        ) from error
