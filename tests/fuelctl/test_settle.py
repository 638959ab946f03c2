# SPDX-License-Identifier: GPL-3.0-or-later
"""A process that has begun keeps its collector away from what it will need until its end."""

from __future__ import annotations

import json
import subprocess
import sys

_PROCESS = """
import gc, json
from types import SimpleNamespace
from fuelctl.config import Settings
from fuelctl.serving.web import WebServer

web = WebServer(print, Settings(), at="127.0.0.1:0", place="here", processes=1, grace=1)
before = len(gc.get_objects())
web._on_worker(SimpleNamespace(handle_exit=print))
print(json.dumps([before, len(gc.get_objects()), gc.isenabled()]))
"""


def test_a_worker_that_has_begun_has_its_collector_look_at_what_is_new_only() -> None:
    done = subprocess.run([sys.executable, "-c", _PROCESS], check=True, capture_output=True, text=True)
    before, after, enabled = json.loads(done.stdout.splitlines()[-1])
    # Whatever the modules are that a worker has: nearly all of it is left alone.
    assert before > 50_000
    assert after < before / 50
    assert enabled, "what requests leave behind is still collected"
