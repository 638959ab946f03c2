# SPDX-License-Identifier: GPL-3.0-or-later
"""One process of a crew: `python -m fuelctl.serving.part NAME BIND FACTS`; begun by `serving.crew` alone."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import socket
import sys
import threading
import time
from functools import partial

from fuelctl import _server_log, config
from fuelctl._shared._errors import FuelError
from fuelctl.config import Settings
from fuelctl.serving.begin import say, settle, why_not

_logger = logging.getLogger(__name__)
#: The crew's process has ended: what is under way has so many seconds.
_LAST_SECONDS = 10.0


def main() -> int:
    """The process's exit code."""
    name, bind, facts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    _server_log.begin("json")
    os.umask(0o077)
    threading.Thread(target=_watch, args=(facts["life"],), name="life-line", daemon=True).start()
    try:
        settings = config.load()
        _server_log.begin(settings.log_format or "json", part=name)
        if name == "web":
            _web(bind, settings, facts)
            return 0
        return _followers(settings, facts) if name == "followers" else _keeper(settings)
    except FuelError as error:
        say(error)
        return 1
    except Exception as error:
        _logger.exception("%s cannot go on", name)
        say(why_not(error))
        return 1


def _web(bind: str, settings: Settings, facts: dict[str, int]) -> None:
    from fuelctl.serving.crew import GRACE_SECONDS
    from fuelctl.serving.front import Front
    from fuelctl.serving.web import WebServer

    channel = socket.socket(fileno=facts["channel"])
    make = partial(Front, settings, channel=channel, crew=facts["crew"])
    at = f"fd://{facts['listener']}"
    WebServer(make, settings, at=at, place=bind, processes=facts["processes"], grace=GRACE_SECONDS).run()


def _followers(settings: Settings, facts: dict[str, int]) -> int:
    from fuelctl.server.followers import hub_of
    from fuelctl.server.hand_over import receive
    from fuelctl.serving.plane import core_of
    from fuelctl.store.notices import Channel, Listener

    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    core = core_of(settings)
    Listener(core.database.url, {Channel.EVENTS: core.bell.ring}).start()
    hub = hub_of(core, settings)
    channel = socket.socket(fileno=facts["channel"])

    def end(_number: int, _frame: object) -> None:
        hub.stop()
        # A thread that waits for a follower is woken by there being none any more.
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    settle()
    _logger.info("followers are served")
    try:
        while True:
            found = receive(channel)
            if found is not None:
                hub.take(*found)
    finally:
        hub.stop()
        hub.join()


def _keeper(settings: Settings) -> int:
    from fuelctl.serving.keeper import Keeper

    keeper = Keeper(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: keeper.stop())
    settle()
    return keeper.run()


def _watch(life: int) -> None:
    """The crew's process holds the other end: that one ends when it does, however it does."""
    while os.read(life, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
