# SPDX-License-Identifier: GPL-3.0-or-later
"""The start of the CLI: what it may import, help that imports no command, and how it ends when all goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

import fuelctl
from fuelctl import __main__ as entry
from fuelctl.cli import _app
from fuelctl.cli._output import clean, clean_lines, duration, size, table, width
from tests.fuelctl.stage import stage

FORBIDDEN = {
    "ansible",
    "ansible_runner",
    "boto3",
    "botocore",
    "dbos",
    "flask",
    "pydantic",
    "requests",
    "rich",
    "sqlalchemy",
    "yaml",
}


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "fuelctl", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
    )


def imports(*arguments: str) -> set[str]:
    """Names of the top-level packages that a command imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "fuelctl", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["-h"], ["version"], ["--version"], ["version", "--json"], ["up", "-h"]]
)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    found = imports(*arguments)
    assert "typer" in found
    assert found & FORBIDDEN == set()


def test_ls_imports_nothing_heavy() -> None:
    with stage():
        assert imports("ls") & FORBIDDEN == set()
        assert imports("ls", "--json") & FORBIDDEN == set()


def test_help_imports_no_command() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "fuelctl", "--help"], capture_output=True, text=True, check=True
    )
    modules = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert {name for name in modules if name.startswith("fuelctl.cli.")} == {"fuelctl.cli._app"}


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    for name, (_module, text) in _app.COMMANDS.items():
        command = _app.load(name)
        assert (command.help or "").strip().splitlines()[0] == text, name


def test_starts_within_twice_the_time_of_typer() -> None:
    """Of processor time, which others on a busy machine do not lengthen; the bound has air over the goal."""

    def seconds(arguments: list[str]) -> float:
        process = os.posix_spawn(
            sys.executable,
            [sys.executable, *arguments],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
        )
        _pid, status, used = os.wait4(process, 0)
        assert status == 0
        return used.ru_utime + used.ru_stime

    with stage():
        rounds = [
            (seconds(["-c", "import typer"]), seconds(["-m", "fuelctl", "--help"]), seconds(["-m", "fuelctl", "ls"]))
            for _turn in range(7)
        ]
    base, help_, ls = (min(column) for column in zip(*rounds, strict=True))
    assert help_ <= 2 * base
    assert ls <= 2.5 * base


@pytest.mark.parametrize("arguments", [["--frobnicate"], ["nonsense"], ["ls", "--nope"], ["status"], ["up", "a", "b"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert done.stdout == ""
    document = run(*arguments, "--json")
    assert document.returncode == 2
    assert json.loads(document.stdout)["error"]["code"] == "usage"
    assert document.stderr == ""


def test_no_arguments_is_help() -> None:
    done = run()
    assert "Usage: fuelctl" in done.stdout + done.stderr
    assert done.returncode in (0, 2)


def test_a_mistyped_command_is_guessed() -> None:
    assert "'status'" in run("statsu").stderr


def test_state_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("ls", FUELCTL_HOME=str(tmp_path / "file" / "x"))
    assert done.returncode == 1
    assert str(tmp_path / "file") in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_an_unforeseen_fault_is_one_line_and_its_details_are_kept(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from fuelctl import paths
    from fuelctl.cli import _context

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by \x1b[31mzero")

    monkeypatch.setattr(_context, "ensure", broken)
    assert entry.run(["ls"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 2
    assert "\x1b" not in captured.err
    log = paths.state_folder() / "cli-errors.log"
    assert str(log) in captured.err
    assert "ZeroDivisionError" in log.read_text()
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0
    assert entry.run(["ls", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unexpected"


def test_a_reader_that_goes_away_is_no_fault() -> None:
    command = [sys.executable, "-m", "fuelctl", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def test_completion_knows_commands_and_environments(tmp_path: Path) -> None:
    def complete(words: str) -> str:
        index = str(len(words.split()) - (0 if words.endswith(" ") else 1))
        return run(COMP_WORDS=words, COMP_CWORD=index, _FUELCTL_COMPLETE="complete_bash").stdout

    assert {"up", "ls", "down"} <= set(complete("fuelctl ").split())
    # No server: no names, and none is started for the sake of completion.
    assert complete("fuelctl status ").strip() == ""
    assert not (Path(os.environ["FUELCTL_HOME"]) / "state" / "server.json").exists()
    assert "complete_bash" in run("--show-completion", "bash").stdout or run("--show-completion").returncode in (0, 1)


def test_completion_of_names_from_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fuelctl.environments import registry
    from fuelctl.environments.registry import NewEnvironment

    with stage() as made:
        registry.create(
            made.core, NewEnvironment({"name": "local", "options": {}}, {"image": "x"}, {"name": "shop"}, 3600, "me")
        )
        done = run(COMP_WORDS="fuelctl status sh", COMP_CWORD="2", _FUELCTL_COMPLETE="complete_bash")
    assert done.stdout.split() == ["shop"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\control", "control"),
        ("\x9b31mc1", "c1"),
        ("a\r\nb\nc", "a b c"),
        ("bell\x07 back\x08space \x00nul", "bell backspace nul"),
        ("\u202egnp.exe", "gnp.exe"),
        ("tab\tstays", "tab\tstays"),
        ("half\udc80pair", "halfpair"),
        ("unfinished\x1b[31", "unfinished"),
        ("é漢字", "é漢字"),
    ],
)
def test_clean(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_lines_redrawn_show_their_last_state() -> None:
    assert clean_lines("10%\r50%\r100%\ndone\r\n") == ["100%", "done", ""]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, "-"), (0, "0.0s"), (4.21, "4.2s"), (59, "59s"), (60, "1m"), (187, "3m 07s"), (28799, "7h 59m"),
        (28800, "8h"), (86400 * 3 + 7200, "3d 2h"), (86400 * 2, "2d"), (-5, "0.0s"),
    ],
)  # fmt: skip
def test_duration(seconds: float | None, expected: str) -> None:
    assert duration(seconds) == expected


def test_size_and_width_and_table() -> None:
    assert [size(count) for count in (0, 999, 1000, 2_500_000, 7e12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.5 MB",
        "7000.0 GB",
    ]
    assert width("漢a\x1b[31mb\x1b[0m") == 4
    assert table(("A", "LONG"), [["漢", "x"], ["abc", ""]]) == ["A    LONG", "漢   x", "abc"]


def test_the_app_has_the_version_of_the_package() -> None:
    assert run("--version").stdout == f"fuelctl {fuelctl.__version__}\n"
    assert typer.main.get_command(_app.app).name == "fuelctl"
