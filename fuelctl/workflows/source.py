# SPDX-License-Identifier: GPL-3.0-or-later
"""The uploaded source: unpacked before a run, removed after it."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.store.files import Files, source_key

_MOST_MEMBERS = 10_000
_DOCUMENT = "source.json"


def unpack(files: Files, environment_id: str, limit: int) -> Path:
    """The folder of the source bundle on this machine; a repeat finds it done.

    UsageError when the tar file is not one of ours.
    """
    folder = paths.source_folder(environment_id)
    bundle, draft, archive = folder / "bundle", folder / "bundle.part", source_key(environment_id)
    if bundle.is_dir():
        return bundle
    shutil.rmtree(draft, ignore_errors=True)
    paths.private_folder(draft)
    try:
        with files.open(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as opened:
            total = 0
            for number, member in enumerate(opened):
                total += member.size
                if number >= _MOST_MEMBERS or total > limit:
                    raise _refused("it holds too much")
                if not (member.isreg() or member.isdir()):
                    raise _refused(f"{member.name[:100]!r} is neither a file nor a folder")
                _extract(opened, member, draft)
    except tarfile.TarError as error:
        raise _refused(str(error)) from error
    except FileNotFoundError as error:
        raise FuelError("the uploaded source is gone", hint="run fuelctl up again", code="source_lost") from error
    except OSError as error:
        raise paths.storage_error(error, draft) from error
    if not (draft / _DOCUMENT).is_file():
        raise _refused(f"there is no {_DOCUMENT} in it")
    draft.replace(bundle)
    if files.is_folder:
        # Where other machines may have to go on with it, it is kept until nobody needs it.
        files.delete(archive)
    return bundle


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one member below `folder`. By hand, because Python before 3.11.4 knows no extraction filters."""
    inside = PurePosixPath(member.name)
    if inside.is_absolute() or ".." in inside.parts or "\0" in member.name:
        raise _refused(f"{member.name[:100]!r} leads out of it")
    target = folder / inside
    content = archive.extractfile(member)
    if content is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with content, target.open("wb") as stream:
        shutil.copyfileobj(content, stream)


def remove(files: Files, environment_id: str) -> None:
    """Forget the source."""
    files.delete(source_key(environment_id))
    shutil.rmtree(paths.source_folder(environment_id), ignore_errors=True)


def _refused(why: str) -> UsageError:
    return UsageError(
        f"the uploaded source cannot be unpacked: {why}",
        hint="upload a source bundle as fuelctl up makes it",
        where=_DOCUMENT,
        code="source_invalid",
    )
