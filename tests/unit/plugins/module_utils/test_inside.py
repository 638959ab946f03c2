# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment from inside: by way of the engine, and in place, with real processes."""

from __future__ import annotations

import os
import pwd
import subprocess

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils import _inside
from ansible_collections.fuel_code.remote.plugins.module_utils._docker import Completed, Docker
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._inside import (
    FIELD,
    InContainer,
    InPlace,
    inside,
    line,
)

ME = pwd.getpwuid(os.geteuid())
#: Somebody else whom every Debian has.
OTHER = "nobody" if ME.pw_name != "nobody" else "daemon"


@pytest.fixture
def place():
    return InPlace("the machine", ME.pw_name)


@pytest.mark.parametrize(
    ("given", "kind", "name"),
    [
        ({"environment_is": "container", "container": "box", "user": "dev"}, InContainer, "box"),
        ({"environment_is": "machine", "container": None, "user": "dev"}, InPlace, "the machine"),
    ],
)
def test_the_option_decides(given, kind, name):
    made = inside(given)
    assert (type(made), made.name, made.user) == (kind, name, "dev")


def test_a_container_has_to_be_named():
    with pytest.raises(UsageError, match="none is named"):
        inside({"environment_is": "container", "container": None, "user": "dev"})


def test_both_run_the_same_script_after_their_own_way_in(place):
    script = "echo 'one' \"$0\""
    assert InContainer("box", "dev").command(script, user="0")[:6] == [
        "docker",
        "exec",
        "--interactive",
        "--user",
        "0",
        "box",
    ]
    for one in (InContainer("box", "dev"), place):
        assert one.command(script)[-4:] == ["sh", "-c", script, "fuel-code"]


def test_in_place_it_begins_as_in_a_container(place, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLY_API_TOKEN", "hunter2")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = place.script("pwd; env; id -un")
    lines = done.text.splitlines()
    assert (done.returncode, lines[0], lines[-1]) == (0, "/", ME.pw_name)
    assert "hunter2" not in done.text
    assert str(tmp_path) not in done.text
    assert f"HOME={ME.pw_dir}" in lines


def test_values_come_on_stdin_and_an_exit_code_is_the_script_s_own(place):
    done = place.script(FIELD + "field; echo; field >&2; exit 7", line("a 'b'\n$(c)") + line("d"))
    assert (done.returncode, done.stdout, done.stderr) == (7, b"a 'b'\n$(c)\n", b"d")


def test_another_user_is_root_s_to_be(place):
    if os.geteuid() == 0:
        done = place.script("id -un; cat /proc/self/status", user=OTHER)
        assert done.text.splitlines()[0] == OTHER
        assert "CapInh:\t0000000000000000" in done.text
    else:
        with pytest.raises(UsageError, match="only root"):
            place.script("id", user=OTHER)


def test_a_user_who_is_not_there_is_named(place):
    with pytest.raises(FuelError, match="no user nobody-here"):
        place.script("id", user="nobody-here")


def test_a_machine_without_what_it_takes_is_named(place, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for run in (lambda: place.script("true"), lambda: place.stream("true", lambda pipe: None)):
        with pytest.raises(FuelError) as caught:
            run()
        assert caught.value.code == "environment_unusable"


def test_what_runs_long_is_followed_and_ends_with_who_waits(place):
    told = []

    def feed(pipe):
        pipe.write(b"given\n")

    ended = place.stream("read -r x; echo got $x; cat; echo over; exit 3", feed, on_output=told.append)
    assert (ended.returncode, b"".join(told)) == (3, b"got given\nover\n")
    for seconds in (1, 10, 60):
        late = place.stream("echo begun; sleep 600", lambda pipe: None, timeout=seconds, hold=True)
        assert late.returncode == 124
        # On a busy machine it may not even have begun.
        if late.output:
            break
    assert late.output == b"begun\n"


def test_a_flood_is_cut(place, monkeypatch):
    monkeypatch.setattr(_inside, "_LIMIT", 1000)
    assert len(place.script("head -c 5000 /dev/zero").stdout) == 1000


def test_what_was_installed_is_kept_as_it_lies(monkeypatch, tmp_path):
    if os.geteuid() != 0:
        with pytest.raises(UsageError, match="only root"):
            InPlace("the machine", ME.pw_name).keep(["/x"])
        return
    kept, origin = tmp_path / "kept", tmp_path / "origin"
    monkeypatch.setattr(_inside, "_KEEP", _inside._KEEP.replace(_inside._KEPT_ROOT, str(kept)))
    (origin / "a b").mkdir(parents=True)
    (origin / "a b" / "hook").write_text("#!/bin/sh\n")
    (origin / "a b" / "hook").chmod(0o755)
    (origin / "link").symlink_to("/opt/agent")
    for _again in range(2):
        InPlace("the machine", ME.pw_name).keep([str(origin / "a b" / "hook"), str(origin / "link")])
    there = kept / str(origin)[1:]
    assert (there / "a b" / "hook").read_text() == "#!/bin/sh\n"
    assert (there / "a b" / "hook").stat().st_mode & 0o777 == 0o755
    assert (there / "link").readlink().as_posix() == "/opt/agent"
    (origin / "a b" / "hook").write_text("newer")
    InPlace("the machine", ME.pw_name).keep([str(origin / "a b" / "hook")])
    assert (there / "a b" / "hook").read_text() == "newer"
    assert subprocess.check_output(["ls", "-A", str(kept.parent)], text=True).split() == ["kept", "origin"]
    with pytest.raises(FuelError, match="cannot keep"):
        InPlace("the machine", ME.pw_name).keep([str(origin / "nowhere")])


def test_a_container_keeps_what_it_has_by_itself():
    def never(*_):
        raise AssertionError("the engine was asked")

    InContainer("box", "dev", Docker(never)).keep(["/x"])


def test_an_engine_s_refusal_is_no_answer_of_the_script():
    def run(argv, _stdin, _timeout):
        return Completed(argv, 1, b"", b"Error response from daemon: Container box is not running")

    with pytest.raises(FuelError):
        InContainer("box", "dev", Docker(run)).script("true")
