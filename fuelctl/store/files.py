# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that every process of a control plane can reach: a folder on SQLite, rows of parts on a team's Postgres.

A key is a relative path (`sources/<id>/source.tar`). What is private is encrypted in the database under the team's
key; in a folder it is a file (0600) as before.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import logging
import os
import re
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sqlalchemy import ColumnElement, delete, func, insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from fuelctl import paths
from fuelctl._shared._errors import FuelError
from fuelctl.store.bucket import Bucket
from fuelctl.store.database import Database
from fuelctl.store.models import FilePartRow
from fuelctl.store.secrets import Safe

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_logger = logging.getLogger(__name__)
#: What is below it may be put into a bucket.
RESCUES = "rescues"
#: The most that one row holds, before it is encrypted.
PART = 1 << 20
_KEY = re.compile(r"[A-Za-z0-9_.@+-]+(/[A-Za-z0-9_.@+-]+)*")
_LONGEST_KEY = 255
#: Prefixes in one query.
_AT_ONCE = 200


def source_key(environment_id: str) -> str:
    """Where an environment's uploaded source is."""
    return f"sources/{environment_id}/source.tar"


def keys_key(environment_id: str) -> str:
    """Below which its key pair and the host keys that were pinned for it are."""
    return f"keys/{environment_id}"


class WrongOffsetError(FuelError):
    """What was to be appended does not follow what is there; `received` is how much that is."""

    def __init__(self, key: str, received: int, offset: int) -> None:
        super().__init__(
            f"the next byte expected is {received}, not {offset}",
            hint="go on from there",
            where=key,
            code="wrong_offset",
        )
        self.received = received


class Files:
    """Named bytes. A missing key is a FileNotFoundError; a key that is no plain relative path is a ValueError."""

    def __init__(self, database: Database, safe: Safe, root: Path | None = None, bucket: Bucket | None = None) -> None:
        """`root`: the folder on SQLite; the state folder. `bucket`: where rescues are put."""
        self._in: _Folder | _Parts = (
            _Folder(root or paths.state_folder()) if database.is_sqlite else _Parts(database, safe)
        )
        self._bucket = bucket

    @property
    def is_folder(self) -> bool:
        """Whether every process finds them in this machine's state folder, under their keys."""
        return isinstance(self._in, _Folder)

    def put(self, key: str, content: BinaryIO | bytes, *, private: bool = False, here: bool = False) -> int:
        """Store all of `content` under `key`, in the place of what was there, all or nothing; its size in bytes.

        `here`: among the control plane's own, also what belongs into a bucket.
        """
        stream = io.BytesIO(content) if isinstance(content, bytes) else content
        bucket = None if here else self._bucket_of(_checked(key))
        if bucket is not None:
            begin = stream.tell()
            try:
                size = bucket.put(key, stream)
            except (FuelError, OSError) as error:
                # It is on its way out of an environment that is about to end: better here than nowhere.
                _logger.error("%s does not take %s, so it is kept here: %s", bucket, key, error)
                stream.seek(begin)
            else:
                # Of an earlier time when the bucket was away: what is here is read first.
                self._in.delete(key)
                return size
        return self._in.put(_checked(key), stream, private=private)

    def open(self, key: str) -> BinaryIO:
        """A stream of the content as it is now; to be closed."""
        bucket = self._bucket_of(_checked(key))
        # What was stored before there was a bucket, or while it was away, is here.
        if bucket is not None and self._in.size(key) is None:
            return bucket.open(key)
        return self._in.open(key)

    def read(self, key: str) -> bytes:
        """The whole of something small."""
        with self.open(key) as stream:
            return stream.read()

    def size(self, key: str) -> int | None:
        """In bytes; None when there is no such key."""
        bucket, here = self._bucket_of(_checked(key)), self._in.size(key)
        return bucket.size(key) if here is None and bucket is not None else here

    def append(self, key: str, offset: int, content: bytes, *, private: bool = False) -> int:
        """Add `content`, which begins at `offset`: the new size. WrongOffsetError when something else is there.

        Of two that append at one offset, one wins. What was added stays when the process ends.
        """
        return self._in.append(_checked(key), offset, content, private=private)

    def sha256(self, key: str) -> str:
        """The digest of the content, which is on the disk for good when this returns."""
        with self.open(key) as stream:
            if isinstance(stream, io.BufferedReader) and isinstance(stream.raw, io.FileIO):
                os.fsync(stream.fileno())
            digest = hashlib.sha256()
            while block := stream.read(PART):
                digest.update(block)
            return digest.hexdigest()

    def delete(self, prefix: str) -> None:
        """Forget this key, and all below it. Twice is harmless."""
        self._in.delete(_checked(prefix))
        bucket = self._bucket_of(prefix)
        if bucket is not None:
            bucket.delete(prefix)

    def read_below(self, prefixes: Collection[str]) -> dict[str, bytes]:
        """Key -> content, of everything small below any of these prefixes."""
        return self._in.read_below([_checked(prefix) for prefix in prefixes])

    def list(self, prefix: str) -> list[str]:
        """This key, when there is one, and all keys below it, in order."""
        bucket = self._bucket_of(_checked(prefix))
        return sorted({*self._in.list(prefix), *(bucket.list(prefix) if bucket is not None else ())})

    def _bucket_of(self, key: str) -> Bucket | None:
        return self._bucket if key.split("/", maxsplit=1)[0] == RESCUES else None


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key) or len(key) > _LONGEST_KEY or {".", ".."} & set(key.split("/")):
        raise ValueError(f"{key[:100]!r} is no key of a file")
    return key


class _Folder:
    """Below one folder, 0700 and 0600."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, key: str, stream: BinaryIO, *, private: bool) -> int:
        del private
        file = self._root / key
        draft = paths.private_folder(file.parent) / f".{file.name}.{os.getpid()}.tmp"
        try:
            with _opened(draft, os.O_WRONLY | os.O_TRUNC) as target:
                shutil.copyfileobj(stream, target, PART)
                target.flush()
                os.fsync(target.fileno())
                size = target.tell()
            draft.replace(file)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise paths.storage_error(error, file) from error
        return size

    def open(self, key: str) -> BinaryIO:
        return (self._root / key).open("rb")

    def size(self, key: str) -> int | None:
        try:
            return (self._root / key).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def append(self, key: str, offset: int, content: bytes, *, private: bool) -> int:
        del private
        file = self._root / key
        paths.private_folder(file.parent)
        try:
            with _opened(file, os.O_WRONLY | os.O_APPEND) as target:
                fcntl.flock(target, fcntl.LOCK_EX)
                size = os.fstat(target.fileno()).st_size
                if size != offset:
                    raise WrongOffsetError(key, size, offset)
                target.write(content)
        except OSError as error:
            raise paths.storage_error(error, file) from error
        return size + len(content)

    def delete(self, prefix: str) -> None:
        place = self._root / prefix
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)

    def read_below(self, prefixes: Sequence[str]) -> dict[str, bytes]:
        return {key: (self._root / key).read_bytes() for prefix in prefixes for key in self.list(prefix)}

    def list(self, prefix: str) -> Iterator[str]:
        place = self._root / prefix
        for file in place.rglob("*") if place.is_dir() else [place]:
            if file.is_file() and not file.name.endswith(".tmp"):
                yield file.relative_to(self._root).as_posix()


class _Parts:
    """In table `files`: each row says where its part begins, so that no two can be appended at one place.

    What has several parts is made once, and never put anew while somebody may read it.
    """

    def __init__(self, database: Database, safe: Safe) -> None:
        self._database = database
        self._safe = safe

    def put(self, key: str, stream: BinaryIO, *, private: bool) -> int:
        size = 0
        with _at_hand(stream) as content, self._database.write() as session:
            session.execute(delete(FilePartRow).where(FilePartRow.key == key))
            while (block := _filled(content)) or not size:
                self._add(session, key, size, block, private=private)
                size += len(block)
                if len(block) < PART:
                    break
        return size

    def open(self, key: str) -> BinaryIO:
        parts = self._parts(key)
        # The first one now, so that it is `open` which fails.
        first = next(parts, None)
        if first is None:
            raise FileNotFoundError(f"there is no file {key}")
        return io.BufferedReader(_Stream(first, parts), PART)

    def size(self, key: str) -> int | None:
        with self._database.read() as session:
            return _end(session, key)

    def append(self, key: str, offset: int, content: bytes, *, private: bool) -> int:
        try:
            with self._database.write() as session:
                size = _end(session, key) or 0
                if size != offset:
                    raise WrongOffsetError(key, size, offset)
                if not size:
                    # An empty file is a part without content, in the place of the first.
                    session.execute(delete(FilePartRow).where(FilePartRow.key == key))
                for start in range(0, len(content) or 1, PART):
                    self._add(session, key, offset + start, content[start : start + PART], private=private)
        except IntegrityError as error:
            # Somebody else was quicker.
            raise WrongOffsetError(key, self.size(key) or 0, offset) from error
        return offset + len(content)

    def delete(self, prefix: str) -> None:
        with self._database.write() as session:
            session.execute(delete(FilePartRow).where(_below(prefix)))

    def read_below(self, prefixes: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = defaultdict(bytes)
        for start in range(0, len(prefixes), _AT_ONCE):
            condition = or_(*(_below(prefix) for prefix in prefixes[start : start + _AT_ONCE]))
            query = select(FilePartRow).where(condition).order_by(FilePartRow.key, FilePartRow.start)
            with self._database.read() as session:
                for row in session.scalars(query):
                    found[row.key] += self._safe.decrypt(row.content) if row.private else row.content
        return dict(found)

    def list(self, prefix: str) -> Iterator[str]:
        with self._database.read() as session:
            yield from session.scalars(select(FilePartRow.key).where(_below(prefix)).distinct())

    def _add(self, session: Session, key: str, start: int, content: bytes, *, private: bool) -> None:
        if content or not start:
            kept = self._safe.encrypt(content) if private else content
            values = {"key": key, "start": start, "size": len(content), "private": private, "content": kept}
            session.execute(insert(FilePartRow).values(values))

    def _parts(self, key: str) -> Iterator[bytes]:
        at, size = 0, 1
        while size:
            with self._database.read() as session:
                row = session.get(FilePartRow, (key, at))
            if row is None:
                return
            yield self._safe.decrypt(row.content) if row.private else row.content
            size = row.size
            at += size


class _Stream(io.RawIOBase):
    """Parts, one after the other."""

    def __init__(self, first: bytes, parts: Iterator[bytes]) -> None:
        self._rest = first
        self._parts = parts

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        while not self._rest:
            found = next(self._parts, None)
            if found is None:
                return 0
            self._rest = found
        count = min(len(view), len(self._rest))
        view[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


@contextmanager
def _at_hand(stream: BinaryIO) -> Iterator[BinaryIO]:
    """What comes from elsewhere comes to this machine's disk first: no transaction waits for it, and loses its time."""
    if stream.seekable():
        yield stream
        return
    with tempfile.TemporaryFile() as here:
        shutil.copyfileobj(stream, here, PART)
        here.seek(0)
        yield here


def _filled(stream: BinaryIO) -> bytes:
    """The next part: a whole one, unless the stream ends."""
    found = b""
    while len(found) < PART and (block := stream.read(PART - len(found))):
        found += block
    return found


def _end(session: Session, key: str) -> int | None:
    return session.scalar(select(func.max(FilePartRow.start + FilePartRow.size)).where(FilePartRow.key == key))


def _below(prefix: str) -> ColumnElement[bool]:
    return or_(FilePartRow.key == prefix, FilePartRow.key.startswith(f"{prefix}/", autoescape=True))


def _opened(file: Path, flags: int) -> BinaryIO:
    return os.fdopen(os.open(file, flags | os.O_CREAT | os.O_CLOEXEC, 0o600), "wb" if flags & os.O_TRUNC else "ab")
