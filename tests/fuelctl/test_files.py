# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that all processes reach: in a folder on SQLite, in parts on Postgres."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from fuelctl import paths
from fuelctl.store import files as files_module
from fuelctl.store.database import Database
from fuelctl.store.files import Files, WrongOffsetError
from fuelctl.store.secrets import Safe
from tests.fuelctl import databases

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_SECRET = b"-----BEGIN OPENSSH PRIVATE KEY-----"


@pytest.fixture(params=databases.KINDS)
def kept(request: pytest.FixtureRequest) -> Iterator[Database]:
    yield from databases.of_kind(request)


@pytest.fixture
def files(kept: Database, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(files_module, "PART", 1000)
    return Files(kept, Safe(paths.secret_key_file()))


def test_what_is_put_is_read_in_parts(files: Files) -> None:
    content = os.urandom(3456)
    assert files.put("a/b.bin", io.BytesIO(content)) == 3456
    with files.open("a/b.bin") as stream:
        assert stream.read(17) + stream.read() == content
    assert files.size("a/b.bin") == 3456
    assert files.sha256("a/b.bin") == hashlib.sha256(content).hexdigest()
    # All of what was there is replaced, also by nothing.
    files.put("a/b.bin", b"short")
    assert files.read("a/b.bin") == b"short"
    files.put("a/b.bin", b"")
    assert (files.size("a/b.bin"), files.read("a/b.bin")) == (0, b"")


class Slow(io.RawIOBase):
    """What comes over a network, however slowly: at each read it is asked who holds a transaction open."""

    def __init__(self, content: bytes, asked: Callable[[], int]) -> None:
        self._content = io.BytesIO(content)
        self._asked = asked
        self.open: list[int] = []

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        self.open.append(self._asked())
        return self._content.readinto(buffer)


def test_what_comes_slowly_holds_no_transaction_open(files: Files, kept: Database) -> None:
    held = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND state LIKE 'idle in transaction%'"
    )

    def asked() -> int:
        if kept.is_sqlite:
            return 0
        with kept.read() as session:
            return int(session.execute(held).scalar_one())

    slow = Slow(_SECRET * 100, asked)
    assert files.put("x", io.BufferedReader(slow, 1000)) == len(_SECRET) * 100
    assert files.read("x") == _SECRET * 100
    assert len(slow.open) > 2
    assert set(slow.open) == {0}


@pytest.mark.parametrize("size", [1000, 2000])
def test_whole_parts(files: Files, size: int) -> None:
    content = os.urandom(size)
    files.put("x", content)
    assert (files.size("x"), files.read("x")) == (size, content)


def test_what_is_appended_follows_what_is_there(files: Files) -> None:
    content = os.urandom(5000)
    assert files.size("up") is None
    at = 0
    for size in (10, 0, 2500, 1, 2489):
        at = files.append("up", at, content[at : at + size])
    assert files.read("up") == content
    for offset in (0, 4999, 5001):
        with pytest.raises(WrongOffsetError) as refused:
            files.append("up", offset, b"x")
        assert refused.value.received == 5000
    assert files.read("up") == content


def test_of_two_that_append_at_once_one_goes_on(files: Files) -> None:
    content = os.urandom(20_000)
    refused: list[int] = []

    def upload() -> None:
        at = 0
        while at < len(content):
            try:
                at = files.append("up", at, content[at : at + 700])
            except WrongOffsetError as error:
                refused.append(error.received)
                at = error.received

    threads = [threading.Thread(target=upload) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.read("up") == content


def test_what_is_below_a_prefix_is_listed_and_forgotten(files: Files) -> None:
    for key in ("keys/A_1/x", "keys/A_1/y", "keys/AB1/x", "keys/A_12/x"):
        files.put(key, b"1")
    assert files.list("keys/A_1") == ["keys/A_1/x", "keys/A_1/y"]
    files.delete("keys/A_1")
    files.delete("keys/A_1")
    assert files.list("keys") == ["keys/AB1/x", "keys/A_12/x"]
    files.delete("keys/AB1/x")
    assert files.list("keys/AB1") == []
    assert files.size("keys/AB1/x") is None


def test_what_is_missing_says_so(files: Files) -> None:
    with pytest.raises(FileNotFoundError):
        files.open("nothing/here")
    assert files.list("nothing") == []


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a/../b", "..", "a//b", "a/./b", "a b", "a\n", "x" * 256, "a/"])
def test_only_plain_paths_are_keys(files: Files, key: str) -> None:
    with pytest.raises(ValueError, match="no key"):
        files.put(key, b"x")


def test_what_is_private_can_be_read_by_its_owner_alone(files: Files, kept: Database) -> None:
    files.put("keys/A/id", _SECRET, private=True)
    files.append("keys/A/more", 0, _SECRET * 100, private=True)
    assert files.read("keys/A/id") == _SECRET
    assert files.read("keys/A/more") == _SECRET * 100
    if files.is_folder:
        file = paths.state_folder() / "keys" / "A" / "id"
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    else:
        with kept.read() as session:
            stored = [bytes(content) for content in session.scalars(text("SELECT content FROM files"))]
        assert len(stored) > 1
        assert not [content for content in stored if b"OPENSSH" in content]
