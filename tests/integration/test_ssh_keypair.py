# SPDX-License-Identifier: GPL-3.0-or-later
"""Module ssh_keypair as Ansible calls it: foreseen, made, kept, removed; the private half never shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .machine import ansible


def call(tmp_path: Path, *flags: str, **arguments: Any) -> dict[str, Any]:
    words = ["ansible", "localhost", "-m", "fuel_code.remote.ssh_keypair", "-a", json.dumps(arguments), *flags]
    plain = {"ANSIBLE_LOAD_CALLBACK_PLUGINS": "1", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    done = ansible(*words, collections=tmp_path / "c", home=tmp_path, **plain)
    key = Path(arguments["path"])
    if key.exists() and "PRIVATE KEY" in key.read_text():
        secret = "".join(key.read_text().splitlines()[1:3])[:60]
        assert secret not in done.stdout.replace("\\n", "")
    told = json.loads(done.stdout[done.stdout.index("{") :])
    result: dict[str, Any] = told["plays"][0]["tasks"][0]["hosts"]["localhost"]
    return result


def test_foreseen_made_kept_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "one" / "id_ed25519"
    wanted = {"path": str(path), "comment": "fuel-code-one"}
    results = [call(tmp_path, *flags, **wanted) for flags in (["-C", "-D"], ["-D"], ["-C"], [])]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert results[0]["diff"]["after"] == "a new key pair\n"
    assert results[1]["diff"]["after"] == results[1]["public_key"] + "\n"
    assert results[3]["public_key"] == path.with_suffix(".pub").read_text().strip()

    results = [call(tmp_path, *flags, state="absent", **wanted) for flags in (["-C"], [], ["-C"], [])]
    assert [result["changed"] for result in results] == [True, True, False, False]
    assert [line["state"] for line in results[1]["resources"]] == ["gone", "gone"]
    assert not path.parent.exists()


def test_what_is_no_key_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "id_ed25519"
    path.parent.mkdir()
    path.write_text("notes\n")
    result = call(tmp_path, path=str(path))
    assert result["failed"]
    assert result["error"]["code"] == "not_a_key"
    assert str(path) in result["msg"]
