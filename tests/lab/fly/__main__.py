# SPDX-License-Identifier: GPL-3.0-or-later
"""A local Fly.io with real machines behind it: `python -m tests.lab.fly [--no-machines] [--set NAME=SECONDS ...]`.

Prints one line of JSON when it is ready: `{"endpoint", "control", "token", "machines"}`. Ends, with all machines and
volumes, on a signal, or when standard input closes if `--until-eof` is given.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

from werkzeug.serving import WSGIRequestHandler, make_server

from tests.lab.address_blocks import take_block

from .cloud import Cloud
from .engine import Engine
from .proxy import Proxy
from .server import KNOWN_TOKEN, Lab
from .settings import Settings

#: As the Machines API inside Fly.io's own network.
PORT = 4280
#: The third part of a lab's addresses. The one that can bind 127.0.<block>.1:4280 owns the block.
BLOCKS = range(128, 192)
CHECKOUT = Path(__file__).resolve().parents[3]


class Handler(WSGIRequestHandler):
    """Says nothing about each request, nor about a client that was killed while it waited."""

    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        pass

    def connection_dropped(self, *_: object) -> None:
        pass


def start_engine(block: int) -> Engine:
    """The machines, and beforehand the janitor that outlives this process and removes them."""
    lab = uuid.uuid4().hex
    # The janitor's end of the pipe must be the only thing that keeps it waiting: nobody else inherits ours.
    subprocess.Popen(
        [sys.executable, "-m", "tests.lab.fly.janitor", lab],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    engine = Engine(lab, block)
    engine.start()
    return engine


def end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-machines", action="store_true", help="the API alone, for big counts")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input closes")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=SECONDS", help="see settings.py")
    parser.add_argument("--block", type=int, choices=BLOCKS, metavar="N", help="have the addresses 127.0.N.*")
    options = parser.parse_args()
    settings = Settings()
    try:
        settings.update({name: float(value) for name, _equals, value in (each.partition("=") for each in options.set)})
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.ERROR)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    if options.until_eof:
        threading.Thread(target=end_with_stdin, daemon=True).start()
    block, listener = take_block(BLOCKS if options.block is None else [options.block], PORT)
    engine = None if options.no_machines else start_engine(block)
    cloud = Cloud(settings, engine, block)
    if engine is not None:
        Proxy(cloud).start()
    host = f"127.0.{block}.1"
    server = make_server(host, PORT, Lab(cloud), threaded=True, request_handler=Handler, fd=listener.fileno())
    endpoint = f"http://{host}:{PORT}"
    ready = {
        "endpoint": endpoint,
        "control": f"{endpoint}/_lab/",
        "token": KNOWN_TOKEN,
        "machines": engine is not None,
    }
    print(json.dumps(ready), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
