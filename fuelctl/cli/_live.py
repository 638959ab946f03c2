# SPDX-License-Identifier: GPL-3.0-or-later
"""The live view of progress on a terminal. The only importer of Rich, and imported only when there is a terminal."""

from __future__ import annotations

import sys
import termios
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from fuelctl.cli._output import duration, size
from fuelctl.cli._progress import UPLOAD, Board, Event, Stage


class LiveView:
    """Stages with their time, the step under way, and the last line of output; drawn again eight times a second."""

    def __init__(self, stream: TextIO) -> None:
        self.board = Board()
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._spinner = Spinner("dots")
        self._bar: tuple[str, int, int] | None = None
        self._live = Live(console=self._console, get_renderable=self._render, refresh_per_second=8, transient=False)

    def __enter__(self) -> LiveView:
        self._echo(on=False)
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.board.tail.clear()
        self._bar = None
        self._live.stop()
        self._echo(on=True)

    @staticmethod
    def _echo(*, on: bool) -> None:
        """Whether the terminal writes ^C where the cursor is: there it would break the picture."""
        try:
            settings = termios.tcgetattr(sys.stdin)
            settings[3] = settings[3] | termios.ECHOCTL if on else settings[3] & ~termios.ECHOCTL
            termios.tcsetattr(sys.stdin, termios.TCSANOW, settings)
        except (termios.error, ValueError, OSError):
            return

    def event(self, event: Event) -> None:
        """Take the event in; the next drawing shows it."""
        self.board.apply(event)

    def show_bar(self, label: str, done: int, total: int) -> None:
        """Show it as a line of its own until it is done."""
        self._bar = (label, done, total) if done < total else None

    def _render(self) -> Group:
        grid = Table.grid(padding=(0, 1))
        grid.add_column(width=1)
        grid.add_column(no_wrap=True)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        if self._bar:
            label, done, total = self._bar
            amount = f"{size(done)} of {size(total)}" if label == UPLOAD else ""
            grid.add_row(self._spinner, label.lower(), f"{100 * done // max(1, total)}%", Text(amount, style="dim"))
        # The model is changed by another thread than the one that draws.
        for stage in list(self.board.stages.values()):
            grid.add_row(self._sign(stage), stage.name, duration(self.board.seconds(stage)), self._words(stage))
        parts: list[Table | Text] = [grid]
        last = list(self.board.tail)[-1:]
        if last:
            parts.append(Text(f"  {last[0]}", style="dim", no_wrap=True, overflow="ellipsis"))
        return Group(*parts)

    def _sign(self, stage: Stage) -> Spinner | Text:
        if stage.state == "start":
            return self._spinner
        if stage.state == "failed":
            return Text("\N{BALLOT X}", style="red")
        return Text("\N{CHECK MARK}", style="green")

    def _words(self, stage: Stage) -> Text:
        if stage.state == "start":
            return Text(stage.step, style="dim")
        if stage.state == "failed":
            return Text(stage.message or "failed", style="red")
        words = "reused" if stage.state == "reused" else ""
        return Text("  ".join(word for word in (words, stage.message) if word), style="dim")
