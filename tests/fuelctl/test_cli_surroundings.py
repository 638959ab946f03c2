# SPDX-License-Identifier: GPL-3.0-or-later
"""fuelctl in surroundings that nobody planned: closed streams, odd encodings, homes and addresses. One line each."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fuelctl import serve
from fuelctl._shared._errors import FuelError

ROOT = Path(__file__).parents[2]


def shell(line: str, *, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """`line` for sh, in which `$F` is fuelctl."""
    return subprocess.run(
        ["sh", "-c", line],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env={**os.environ, "F": f"{sys.executable} -m fuelctl", "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.usefixtures("stage")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_fault(closed: str) -> None:
    done = shell(f"$F ls {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("" if ">&-" in closed.replace("2>&-", "") else "No active environments.\n")


@pytest.mark.usefixtures("stage")
def test_what_is_opened_does_not_end_up_in_a_closed_streams_place(tmp_path: Path) -> None:
    """With 1 closed, the first file that is opened would be number 1, and every line of ours would go into it."""
    done = shell("$F ls --json >&-; $F ls --json")
    assert json.loads(done.stdout)["environments"] == []


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://a:99999",
        "http://a:0",
        "http://a:b",
        "http://exa mple",
        "http://ü",
        "ftp://x",
        "x",
        "http://",
    ],
)
def test_an_address_that_is_none_is_one_line(url: str) -> None:
    done = shell("$F ls", FUELCTL_SERVER_URL=url)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"error: server.url {url!r} is no http(s) URL",
        "  hint: for example https://fuel.example.org",
    ]


@pytest.mark.parametrize(
    ("home", "told"),
    [
        ("~nobody-has-this-name/x", "FUELCTL_HOME names a user that is not known here"),
        ("/proc/nope", "cannot write /proc/nope/state: "),
        ("/dev/null", "cannot write /dev/null/state: Not a directory"),
    ],
)
def test_a_home_that_cannot_be_is_one_line_that_names_it_once(home: str, told: str) -> None:
    done = shell("$F ls", FUELCTL_HOME=home)
    first, hint = done.stderr.splitlines()
    assert first.startswith(f"error: {told}")
    assert first.count(home) == 1
    assert hint.startswith("  hint: ")


@pytest.mark.usefixtures("stage")
def test_good_and_bad_look_different_in_every_encoding(tmp_path: Path) -> None:
    # Nothing but a shell on the PATH: no docker, no git, no ssh.
    (tmp_path / "sh").symlink_to("/bin/sh")
    for encoding, tick, cross in (("ascii", "+", "x"), ("latin-1", "+", "x"), ("utf-8", "\u2713", "\u2717")):
        done = shell("$F doctor", PYTHONIOENCODING=encoding, PATH=str(tmp_path), PYTHONUTF8="0", NO_COLOR="1")
        signs = {line.split()[0] for line in done.stdout.splitlines() if line and not line.startswith(" ")}
        assert tick in signs, done.stdout
        assert cross in signs, done.stdout
        assert "?" not in signs


def test_a_setting_of_the_wrong_kind_is_said_in_words() -> None:
    done = shell("$F server run", FUELCTL_THREADS="many")
    assert "control_plane.threads must be a whole number" in done.stderr


def test_a_place_that_is_in_the_sentence_by_chance_is_still_named(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    done = shell("git init -q . && cd .git && $F up --dry-run", cwd=tmp_path)
    assert done.stderr.splitlines()[0] == "error: .: lies inside a .git folder"


def test_seconds_that_are_no_number() -> None:
    done = shell("$F server stop --wait nan")
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: --wait: nan is no number of seconds")


@pytest.mark.parametrize(
    ("bind", "told"),
    [
        ("nonsense", "'nonsense' is no address"),
        ("127.0.0.1:99999999", "'127.0.0.1:99999999' is no address"),
        ("fd://9", "'fd://9' is no address"),
        ("192.0.2.1:80", "cannot listen at 192.0.2.1:80: Cannot assign requested address"),
        ("nowhere.invalid:80", "cannot listen at nowhere.invalid:80: "),
        ("unix:/proc/nope/x.sock", "cannot listen at unix:/proc/nope/x.sock: there is no folder"),
    ],
)
def test_an_address_at_which_nobody_can_listen_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, bind: str, told: str
) -> None:
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    # Twice: the first one has let go of the lock.
    for _turn in range(2):
        with pytest.raises(FuelError) as caught:
            serve.run(bind)
        assert caught.value.message.startswith(told)
        assert (caught.value.where, bool(caught.value.hint)) == ("--bind", True)


def test_a_port_that_is_taken_and_an_empty_word() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = shell(f"$F server run --bind 127.0.0.1:{taken.getsockname()[1]}")
    assert "Address already in use" in done.stderr.splitlines()[-2]
    assert "--bind: an empty word is no address" in shell("$F server run --bind ''").stderr
