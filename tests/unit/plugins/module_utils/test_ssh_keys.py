# SPDX-License-Identifier: GPL-3.0-or-later
"""Key pairs: whole or not at all, repaired when half, refused when foreign."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._ssh_keys import (
    SshKeygen,
    absent,
    keypair,
    present,
    read,
    together,
)

BOTH = ["id_ed25519", "id_ed25519.pub"]


@pytest.fixture
def private(tmp_path):
    return tmp_path / "keys" / "01JD3Z5Q8W6S9X4V7T2R1P0N8M" / "id_ed25519"


def public_of(private):
    return private.with_name("id_ed25519.pub")


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_made_once_and_then_kept(private):
    changed, pair = present(str(private), "fuel-code-x", SshKeygen())
    assert changed
    assert pair.public_key.startswith("ssh-ed25519 ")
    assert pair.public_key.endswith(" fuel-code-x")
    assert pair.fingerprint.startswith("SHA256:")
    assert (mode(private), mode(public_of(private)), mode(private.parent)) == (0o600, 0o644, 0o700)
    assert names(private.parent) == BOTH
    assert present(str(private), "fuel-code-x", SshKeygen()) == (False, pair)


def test_check_mode_writes_nothing(private):
    assert present(str(private), "c", SshKeygen(), check=True) == (True, None)
    assert not private.parent.exists()


@pytest.mark.parametrize(
    "spoil", [Path.unlink, lambda path: path.write_text(""), lambda path: path.write_text("x y z")]
)
def test_the_public_half_is_made_from_the_private_one(private, spoil):
    _changed, pair = present(str(private), "c", SshKeygen())
    spoil(public_of(private))
    assert present(str(private), "c", SshKeygen()) == (True, pair)


def test_loose_modes_are_tightened(private):
    _changed, pair = present(str(private), "c", SshKeygen())
    private.parent.chmod(0o755)
    assert present(str(private), "c", SshKeygen()) == (True, pair)
    assert mode(private.parent) == 0o700


def test_leftovers_of_a_killed_run_are_taken_away(private):
    staging = private.with_name(".id_ed25519.new")
    staging.mkdir(parents=True)
    (staging / "key").write_text("half")
    present(str(private), "c", SshKeygen())
    assert names(private.parent) == BOTH


def test_a_foreign_file_is_not_overwritten(private):
    private.parent.mkdir(parents=True)
    private.write_text("somebody's notes\n")
    with pytest.raises(FuelError) as caught:
        present(str(private), "c", SshKeygen())
    assert caught.value.code == "not_a_key"
    assert private.read_text() == "somebody's notes\n"
    assert names(private.parent) == ["id_ed25519"]


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FuelError) as caught:
        present(str(tmp_path / "file" / "x" / "id"), "c", SshKeygen())
    assert caught.value.code == "key_storage"


def test_many_at_once_make_one(private):
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(present(str(private), "c", SshKeygen())[1])) for _number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_absent_takes_both_halves_and_the_empty_folder(private):
    present(str(private), "c", SshKeygen())
    both = [str(private), str(public_of(private))]
    assert absent(str(private), check=True) == (True, both)
    assert read(str(private), SshKeygen()) is not None
    assert absent(str(private)) == (True, both)
    assert not private.parent.exists()
    assert absent(str(private)) == (False, [])


def test_absent_leaves_what_is_not_its_own(private):
    present(str(private), "c", SshKeygen())
    (private.parent / "other").write_text("")
    absent(str(private))
    assert names(private.parent) == ["other"]


def test_several_are_removed_as_one(tmp_path):
    paths = [str(tmp_path / name / "id_ed25519") for name in ("a", "b", "c")]
    for path in paths[:2]:
        present(path, "c", SshKeygen())
    params = {"state": "absent", "path": None, "paths": paths}
    foreseen = together(lambda each: keypair(each, check=True), params)
    assert foreseen["changed"]
    assert {line["state"] for line in foreseen["resources"]} == {"present", "gone"}
    done = together(lambda each: keypair(each, check=False), params)
    assert done["changed"]
    assert [line["name"] for line in done["resources"]] == [half for path in paths for half in (path, f"{path}.pub")]
    assert {line["state"] for line in done["resources"]} == {"gone"}
    assert not together(lambda each: keypair(each, check=False), params)["changed"]
