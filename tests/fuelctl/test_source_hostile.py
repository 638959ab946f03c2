# SPDX-License-Identifier: GPL-3.0-or-later
"""A source that somebody else packed: unpacked by the control plane, it writes nothing outside of its folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from fuelctl import paths
from fuelctl._shared._errors import FuelError, UsageError
from fuelctl.store.database import Database
from fuelctl.store.files import Files, source_key
from fuelctl.store.secrets import Safe
from fuelctl.workflows import source

ID = "01JD3Z5Q8W6S9X4V7T2R1P0N8M"
LIMIT = 1000
Member = tuple[tarfile.TarInfo, bytes]


@pytest.fixture
def files(database: Database) -> Files:
    return Files(database, Safe(paths.secret_key_file()))


def file(name: str, content: bytes = b"x") -> Member:
    made = tarfile.TarInfo(name)
    made.size = len(content)
    return made, content


def special(name: str, kind: bytes, target: str = "") -> Member:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made, b""


def packed(*members: Member) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for member, data in (file("source.json", b"{}"), *members):
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


def test_one_of_ours_is_unpacked(files: Files) -> None:
    files.put(source_key(ID), packed(file("a/b.txt", b"content")))
    assert (source.unpack(files, ID, LIMIT) / "a" / "b.txt").read_bytes() == b"content"


@pytest.mark.parametrize(
    "members",
    [
        [file("../escaped")],
        [file("a/../../escaped")],
        [file("/tmp/fuel-escaped")],
        [special("link", tarfile.SYMTYPE, "/etc"), file("link/passwd")],
        [special("link", tarfile.SYMTYPE, "..")],
        [special("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [special("device", tarfile.CHRTYPE)],
        [special("pipe", tarfile.FIFOTYPE)],
        [file("big", b"x" * (LIMIT + 1))],
        [file("a"), file("a/b")],
    ],
    ids=lambda members: "+".join(member.name for member, _content in members),
)
def test_what_would_lead_elsewhere_is_refused_and_writes_nothing_there(files: Files, members: list[Member]) -> None:
    files.put(source_key(ID), packed(*members))
    before = everything(paths.state_folder().parent)
    with pytest.raises(FuelError):
        source.unpack(files, ID, LIMIT)
    folder = paths.source_folder(ID)
    inside = str(folder.relative_to(paths.state_folder().parent))
    assert {name for name in everything(paths.state_folder().parent) - before if not name.startswith(inside)} == set()
    assert not Path("/tmp/fuel-escaped").exists()
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    assert not (folder / "bundle").exists()


@pytest.mark.parametrize(
    "content", [b"", b"no tar file at all" * 100, packed()[:700]], ids=["empty", "text", "cut off"]
)
def test_what_is_no_tar_file_of_ours_is_one_line(files: Files, content: bytes) -> None:
    files.put(source_key(ID), content)
    with pytest.raises(UsageError, match="cannot be unpacked"):
        source.unpack(files, ID, LIMIT)


def test_a_million_of_small_files_is_too_much(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_MOST_MEMBERS", 10)
    files.put(source_key(ID), packed(*[file(f"f{number}", b"") for number in range(12)]))
    with pytest.raises(UsageError, match="holds too much"):
        source.unpack(files, ID, LIMIT)
