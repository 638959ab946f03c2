# SPDX-License-Identifier: GPL-3.0-or-later
"""Launched from a folder within a repository: what goes along, and where work begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fuelctl import source
from fuelctl._shared._errors import UsageError
from tests.fuelctl.repositories import git, make, unpacked

pytestmark = pytest.mark.usefixtures("git_settings")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make(tmp_path / 'my "odd" app\'s')


def test_of_a_folder_the_whole_repository_goes_along_and_work_begins_in_it(repository: Path, tmp_path: Path) -> None:
    shop = repository / "services" / "shop"
    shop.mkdir(parents=True)
    (shop / "package.json").write_text("{}")
    found = source.inspect(shop)
    assert (found.name, found.folder) == ("shop", shop)
    assert any("the whole repository goes along" in note for note in found.notes)
    _folder, description = unpacked(source.pack(found, tmp_path / "source.tar"), tmp_path)
    assert description["folder"] == "services/shop"
    assert description["name"] == source.inspect(repository).name
    assert source.inspect(repository).described.folder == ""


def test_a_folder_that_the_branch_does_not_have_is_refused(repository: Path) -> None:
    git(repository, "branch", "other")
    (repository / "shop").mkdir()
    with pytest.raises(UsageError) as caught:
        source.inspect(repository / "shop", branch="other")
    assert caught.value.code == "no_such_folder"
    assert "'other' has no folder shop" in str(caught.value)


class TestBeginAt:
    """Launched from a folder: the nearest blueprint upwards counts, and work begins where it lies."""

    MARK = ".fuel-code/env.yaml"

    @pytest.fixture
    def mono(self, tmp_path: Path) -> Path:
        top = make(tmp_path / "mono")
        (top / "services" / "api" / "src").mkdir(parents=True)
        (top / "services" / "api" / "src" / "main.py").write_text("")
        git(top, "add", ".")
        git(top, "commit", "-qm", "services")
        return top

    def mark(self, folder: Path) -> None:
        (folder / ".fuel-code").mkdir()
        (folder / self.MARK).write_text("image: debian\n")

    def begun(self, place: Path, **options: Any) -> tuple[str, str, Path, list[str]]:
        found = source.begin_at(source.inspect(place, **options), self.MARK)
        return found.described.folder, found.name, found.folder, found.notes

    def test_none_anywhere_leaves_the_folder(self, mono: Path) -> None:
        folder, name, where, notes = self.begun(mono / "services" / "api")
        assert (folder, name, where) == ("services/api", "api", mono / "services" / "api")
        assert "begin in that folder" in notes[0]

    def test_the_nearest_one_wins(self, mono: Path) -> None:
        deepest = mono / "services" / "api" / "src"
        self.mark(mono)
        folder, name, where, notes = self.begun(deepest)
        assert (folder, name, where) == ("", "mono", mono)
        assert notes == [
            "services/api/src has no .fuel-code/env.yaml: that of the whole repository counts, "
            "and set-up and logins begin at its top"
        ]
        self.mark(mono / "services" / "api")
        folder, name, where, notes = self.begun(deepest)
        assert (folder, name, where) == ("services/api", "api", mono / "services" / "api")
        assert notes[0].startswith("services/api/src has no .fuel-code/env.yaml: that of services/api counts")
        assert self.begun(mono / "services" / "api")[0] == "services/api"
        assert self.begun(mono)[0] == ""

    def test_a_link_that_leads_nowhere_is_met_and_not_passed_by(self, mono: Path) -> None:
        self.mark(mono)
        (mono / "services" / ".fuel-code").mkdir()
        (mono / "services" / self.MARK).symlink_to("nowhere")
        assert self.begun(mono / "services" / "api")[0] == "services"

    def test_of_another_branch_its_own_files_count(self, mono: Path, tmp_path: Path) -> None:
        git(mono, "checkout", "-qb", "with")
        self.mark(mono)
        git(mono, "add", ".")
        git(mono, "commit", "-qm", "blueprint")
        git(mono, "checkout", "-q", "main")
        assert self.begun(mono / "services" / "api")[0] == "services/api"
        folder, _name, where, _notes = self.begun(mono / "services" / "api", branch="with")
        assert folder == ""
        assert (where / self.MARK).exists()
        assert mono not in where.parents

    def test_what_is_packed_says_the_same(self, mono: Path, tmp_path: Path) -> None:
        self.mark(mono)
        found = source.begin_at(source.inspect(mono / "services"), self.MARK)
        _folder, description = unpacked(source.pack(found, tmp_path / "tar"), tmp_path)
        assert (description["folder"], description["name"]) == ("", "mono")
