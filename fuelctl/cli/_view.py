# SPDX-License-Identifier: GPL-3.0-or-later
"""Which view of progress fits the stream."""

from __future__ import annotations

from typing import TextIO

from fuelctl.cli._output import is_terminal
from fuelctl.cli._progress import PlainView, View


def make_view(stream: TextIO) -> View:
    """The live view on a terminal, plain lines anywhere else."""
    if not is_terminal(stream):
        return PlainView(stream)
    from fuelctl.cli._live import LiveView

    return LiveView(stream)
