# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person at a terminal gets: questions, the live picture, Ctrl-C. On a real pseudo-terminal."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuelctl.environments.journal import Journal
from tests.fuelctl import stage as stage_module
from tests.fuelctl.stage import Stage, become_ready, repository


class Terminal:
    """A fuelctl that believes to be on a terminal of 90 columns."""

    def __init__(self, *arguments: str, **more: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
        environ = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90"}
        environ = {name: value for name, value in environ.items() if name != "NO_COLOR"} | more
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", sys.executable, "-m", "fuelctl", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environ,
        )
        os.close(slave)
        self.raw = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._over = False

    @property
    def text(self) -> str:
        """What was written, without the terminal's own commands."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.raw)

    def until(self, words: str, seconds: float = 240) -> None:
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end, f"no {words!r} in {self.text}"
            self._read(0.1)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def interrupt(self) -> int:
        """The exit code after Ctrl-C, which a person presses again where it fell between a question and its reading."""
        pressed = time.monotonic() - 60
        while self.process.poll() is None:
            if time.monotonic() - pressed > 20:
                pressed = time.monotonic()
                self.type("\x03")
            self._read(0.05)
        return self.end()

    def end(self) -> int:
        """The exit code, after all was read."""
        while self.process.poll() is None:
            self._read(0.05)
        # To the end of it, which is when nobody has the terminal any more: what was written may come a moment later.
        end = time.monotonic() + 120
        while not self._over and time.monotonic() < end:
            self._read(0.5)
        os.close(self._master)
        return self.process.returncode

    def _read(self, seconds: float) -> None:
        if self._over:
            time.sleep(seconds)
        elif select.select([self._master], [], [], seconds)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                data = b""
            self._over = not data
            self.raw += self._decoder.decode(data)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("FUELCTL_SSH_CONFIG", str(tmp_path / "config"))
    with stage_module.stage() as made:
        yield made


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "shop")


def listed(stage: Stage) -> list[str]:
    from fuelctl.store import environments
    from fuelctl.store.environments import Wanted

    with stage.core.database.read() as session:
        return [row.status for row in environments.page(session, Wanted(include_ended=True))]


def test_no_means_no(stage: Stage, repo: Path) -> None:
    terminal = Terminal("up", str(repo))
    terminal.until("Make this environment? [Y/n]")
    assert "debian:bookworm" in terminal.text
    terminal.type("n\n")
    assert terminal.end() == 1
    assert "Nothing was changed." in terminal.text
    assert listed(stage) == []


def test_interrupt_at_the_question_leaves_nothing(stage: Stage, repo: Path) -> None:
    terminal = Terminal("up", str(repo))
    terminal.until("[Y/n]")
    assert terminal.interrupt() == 130
    assert "Traceback" not in terminal.text
    assert listed(stage) == []


def test_yes_is_followed_live(stage: Stage, repo: Path) -> None:
    seen = threading.Event()

    def play(stage: Stage, journal: Journal) -> None:
        stage.tell(journal, "remote.stage", stage="container", state="start")
        stage.tell(journal, "remote.step", stage="container", step="build image", state="start")
        stage.tell(
            journal, "remote.output", stage="container", step="x", text="Step 3/9 [31m\x1b[31m : RUN\n" + "y" * 300
        )
        seen.wait(300)
        stage.tell(journal, "remote.stage", stage="container", state="ok", seconds=1.2, message="")
        become_ready(journal)

    stage.plays["provision"] = play
    terminal = Terminal("up", str(repo))
    terminal.until("[Y/n]")
    terminal.type("\n")
    terminal.until("build image")
    seen.set()
    assert terminal.end() == 0
    assert "\N{CHECK MARK} container 1.2s" in terminal.text
    assert "shop is ready" in terminal.text
    assert "\x1b[?25h" in terminal.raw, "the cursor is given back"


def test_interrupt_detaches_and_attach_picks_up(stage: Stage, repo: Path) -> None:
    go_on = threading.Event()

    def play(stage: Stage, journal: Journal) -> None:
        stage.tell(journal, "remote.stage", stage="container", state="start")
        go_on.wait(300)
        stage.tell(journal, "remote.stage", stage="container", state="ok", seconds=1.0, message="")
        become_ready(journal)

    stage.plays["provision"] = play
    terminal = Terminal("up", str(repo), "--yes")
    terminal.until("container")
    assert terminal.interrupt() == 130
    assert "Detached: shop goes on being provisioned." in terminal.text
    assert "\x1b[?25h" in terminal.raw
    assert listed(stage) == ["provisioning"]
    again = Terminal("up", "--attach", "shop")
    again.until("container")
    go_on.set()
    assert again.end() == 0
    assert "shop is ready" in again.text


def test_down_all_shows_a_table_and_asks_once(stage: Stage, repo: Path) -> None:
    for _turn in range(2):
        assert Terminal("up", str(repo), "--yes").end() == 0
    terminal = Terminal("down", "--all")
    terminal.until("[y/N]")
    assert "shop-2" in terminal.text
    assert terminal.text.count("[y/N]") == 1
    terminal.type("\n")
    assert terminal.end() == 1
    assert listed(stage) == ["ready", "ready"]
    terminal = Terminal("down", "--all")
    terminal.until("[y/N]")
    terminal.type("y\n")
    assert terminal.end() == 0
    assert terminal.text.count("Receipt: nothing of it is left.") == 2


def test_no_color_is_honoured(stage: Stage, repo: Path) -> None:
    assert Terminal("up", str(repo), "--yes").end() == 0
    coloured, plain = Terminal("ls"), Terminal("ls", NO_COLOR="1")
    assert (coloured.end(), plain.end()) == (0, 0)
    assert "\x1b[32m" in coloured.raw
    assert "\x1b[" not in plain.raw


def test_a_dumb_terminal_gets_plain_lines(stage: Stage, repo: Path) -> None:
    terminal = Terminal("up", str(repo), "--yes", TERM="dumb")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.raw
    assert "container: build image" in terminal.text


@pytest.mark.parametrize(("answer", "code", "ended"), [("r", 0, True), ("discard", 0, True), ("", 1, False)])
def test_work_that_would_be_lost_is_asked_about(stage: Stage, repo: Path, answer: str, code: int, ended: bool) -> None:
    asked: list[tuple[bool, bool]] = []

    def play(stage: Stage, journal: Journal) -> None:
        options = journal.row().operation_options or {}
        asked.append((bool(options.get("discard")), bool(options.get("rescue"))))
        (stage_module.gone if any(asked[-1]) else stage_module.refused)(stage, journal)

    stage.plays["terminate"] = play
    up = Terminal("up", str(repo), "--yes")
    assert up.end() == 0, up.text
    stage.join()
    terminal = Terminal("down", "shop")
    terminal.until("[y/N]")
    terminal.type("y\n")
    terminal.until("(rescue/discard/cancel) [cancel]:")
    assert "draft.txt" in terminal.text
    if answer == "r":
        # What is no answer is asked for again.
        terminal.type("perhaps\n")
        terminal.until("say one of rescue, discard, cancel")
    terminal.type(f"{answer}\n")
    assert terminal.end() == code, terminal.text
    assert (listed(stage) == ["terminated"]) is ended
    assert asked == [(False, False), *({"r": [(False, True)], "discard": [(True, False)]}.get(answer, []))]
    if not ended:
        assert "fuelctl down shop --rescue" in " ".join(terminal.text.split())
