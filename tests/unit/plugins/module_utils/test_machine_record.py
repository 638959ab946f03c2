# SPDX-License-Identifier: GPL-3.0-or-later
"""What is ours of a difference, what is somebody else's, and a record that survives a crash."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._machine_record import _record, _restore
from ansible_collections.fuel_code.remote.plugins.module_utils._machine_record._compare import Ours, compare
from ansible_collections.fuel_code.remote.plugins.module_utils._machine_record._look import PATHS, Parts, look

FOUND: dict[str, Any] = {
    "packages": ["bash"],
    "groups": ["root"],
    "users": ["root"],
    "paths": dict.fromkeys(PATHS, "absent"),
    "links": ["eth0", "lo"],
    "forwarding": "0",
    "firewall": [],
    "settings": None,
    "engine": {"client": False, "running": False, "enabled": False},
    "images": [],
    "volumes": [],
    "networks": [],
    "containers": [],
}


def now(**more):
    return {**copy.deepcopy(FOUND), **more}


def test_nothing_changed_is_no_difference():
    told = compare(FOUND, now(), Ours(), installed=True)
    assert (told.left, told.foreign) == ([], [])


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({"packages": ["bash", "docker.io"]}, ["package docker.io added"]),
        ({"groups": ["docker", "root"]}, ["group docker added"]),
        ({"links": ["docker0", "eth0", "lo"]}, ["link docker0 added"]),
        ({"images": ["sha256:1"]}, ["image sha256:1 added"]),
        ({"volumes": ["cache"]}, ["volume cache added"]),
        ({"settings": "{}"}, ["/etc/docker/daemon.json is another"]),
        ({"forwarding": "1"}, ["net.ipv4.ip_forward was 0, is 1"]),
        ({"firewall": ["filter :DOCKER - "]}, ["firewall rule filter :DOCKER -  added"]),
        ({"engine": {"client": False, "running": True, "enabled": False}}, ["the engine's running was False, is True"]),
    ],
)
def test_what_is_ours_and_still_there_is_left(changed, left):
    ours = Ours(packages=frozenset({"docker.io"}), images=frozenset({"sha256:1"}), volumes=frozenset({"cache"}))
    told = compare(FOUND, now(**changed), ours, installed=True)
    assert (told.left, told.foreign) == (left, [])


@pytest.mark.parametrize(
    ("changed", "foreign"),
    [
        ({"packages": ["bash", "htop"]}, ["package htop added"]),
        ({"packages": []}, ["package bash gone"]),
        ({"users": ["bob", "root"]}, ["user bob added"]),
        ({"links": ["eth0", "lo", "wg0"]}, ["link wg0 added"]),
        ({"images": ["sha256:2"], "containers": ["c"]}, ["image sha256:2 added", "container c added"]),
        ({"firewall": ["filter -A INPUT -j DROP"]}, ["firewall rule filter -A INPUT -j DROP added"]),
    ],
)
def test_what_somebody_else_did_is_told_and_holds_nothing_up(changed, foreign):
    told = compare(FOUND, now(**changed), Ours(), installed=True)
    assert (told.left, told.foreign) == ([], foreign)


def test_with_an_engine_that_was_there_its_rules_and_links_are_not_ours():
    changed = now(groups=["docker", "root"], firewall=["filter :DOCKER - "], forwarding="1")
    told = compare(FOUND, changed, Ours(), installed=False)
    assert told.left == []


@pytest.mark.parametrize("kind", ["empty", "filled", "file"])
def test_a_path_that_was_not_there_is_left(kind):
    changed = now(paths={**FOUND["paths"], "/etc/docker": kind})
    assert compare(FOUND, changed, Ours(), installed=True).left == [f"/etc/docker was absent, is {kind}"]


@pytest.fixture
def parts(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "home").mkdir()

    def run(argv, stdin, timeout):
        raise FileNotFoundError(argv[0])

    return Parts(run=run, root=str(tmp_path / "root"), home=str(tmp_path / "home"))


def test_a_look_at_a_machine_without_anything(parts):
    seen = look(parts)
    assert set(seen) == set(FOUND)
    assert set(seen["paths"].values()) == {"absent"}
    assert seen["engine"] == {"client": False, "running": False, "enabled": False}


def test_paths_are_put_back_and_the_record_stays_until_the_end(parts, tmp_path):
    (tmp_path / "root/var/lib/docker").mkdir(parents=True)
    found = look(parts)
    _record.write(parts, _record.Record(found, {"id": 1.0}, ["debian"]))
    (tmp_path / "root/etc/docker").mkdir(parents=True)
    (tmp_path / "root/etc/docker/key.json").touch()
    (tmp_path / "root/var/lib/docker/overlay2").mkdir()
    (tmp_path / "root/var/lib/fuel-code/locks").mkdir()
    (tmp_path / "home/.cache/fuel-code").mkdir(parents=True)
    (tmp_path / "home/.cache/theirs").touch()
    _restore.restore_paths(parts, found, engine=True)
    known = _record.read(parts)
    assert (known.found, known.environments, known.images) == (found, {"id": 1.0}, ["debian"])
    _record.forget(parts)
    assert _record.read(parts) is None
    kept = sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file() or "docker" in path.name
    )
    assert kept == ["home/.cache/theirs", "root/var/lib/docker"]


def test_without_an_engine_of_ours_its_folders_are_not_touched(parts, tmp_path):
    found = look(parts)
    (tmp_path / "root/etc/docker").mkdir(parents=True)
    (tmp_path / "root/tmp/.ansible-fuel").mkdir(parents=True)
    _restore.restore_paths(parts, found, engine=False)
    assert (tmp_path / "root/etc/docker").exists()
    assert not (tmp_path / "root/tmp/.ansible-fuel").exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", json.dumps({"format": 2, "found": {}, "environments": {}, "images": []})]
)
def test_a_record_that_cannot_be_read_takes_nothing_away(parts, tmp_path, text):
    folder = tmp_path / "root/var/lib/fuel-code"
    folder.mkdir(parents=True)
    (folder / "found.json").write_text(text)
    with pytest.raises(FuelError) as caught:
        _record.read(parts)
    assert caught.value.code == "bad_record"


class Debian:
    """A machine whose package manager answers from a table."""

    def __init__(self, installed, removes):
        self.installed, self.removes, self.ran = installed, removes, []

    def __call__(self, argv, stdin, timeout):
        self.ran.append(argv)
        if argv[0] == "dpkg-query":
            text = "".join(f"ii \t{name}\n" for name in self.installed) if "--show" in argv else "dpkg-query 1"
            return Completed(argv, 0, text.encode(), b"")
        if "--simulate" in argv:
            auto = "--auto-remove" in argv or "autoremove" in argv
            names = [name for asked, gone in self.removes.items() if asked in argv or asked == auto for name in gone]
            return Completed(argv, 0, "".join(f"Purg {name} [1]\n" for name in names).encode(), b"")
        return Completed(argv, 0, b"", b"")

    def purged(self):
        return [argv[argv.index("purge") + 1 :] for argv in self.ran if "purge" in argv and "--simulate" not in argv]


def remove(debian, tmp_path, before):
    parts = Parts(run=debian, root=str(tmp_path), home=str(tmp_path))
    return _restore.remove_engine(parts, {**FOUND, "packages": before})


def test_only_what_came_by_us_and_nobody_needs_is_purged(tmp_path):
    debian = Debian(
        ["bash", "docker.io", "containerd", "htop", "old"], {"docker.io": ["docker.io"], True: ["containerd", "old"]}
    )
    going, needed = remove(debian, tmp_path, ["bash", "old"])
    assert (going, needed) == ({"docker.io", "containerd"}, [])
    assert debian.purged() == [["containerd", "docker.io"]]


def test_an_engine_that_another_package_needs_stays(tmp_path):
    debian = Debian(["docker.io", "theirs"], {"docker.io": ["docker.io", "theirs"]})
    assert remove(debian, tmp_path, []) == (frozenset(), ["package theirs"])
    assert debian.purged() == []


def test_what_a_killed_run_had_left_goes_too(tmp_path):
    debian = Debian(["bash", "containerd"], {True: ["containerd"]})
    assert remove(debian, tmp_path, ["bash"]) == ({"containerd"}, [])
    assert debian.purged() == [["containerd"]]
