# SPDX-License-Identifier: GPL-3.0-or-later
"""A local EC2 and S3 with real machines behind it: `python -m tests.lab.ec2 [--no-machines] [--set NAME=SECONDS ...]`.

Prints one line of JSON when it is ready: `{"endpoint", "control", "address_block", "machines"}`. Ends, with all its
machines, on a signal, or when standard input closes if `--until-eof` is given.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from tests.lab.address_blocks import take_block

from .cloud import Cloud
from .fleet import Fleet
from .server import Lab
from .settings import Settings

PORT = 4566
#: The third part of a lab's addresses. The one that can bind 127.0.<block>.1:4566 owns the block.
BLOCKS = range(64, 128)
CHECKOUT = Path(__file__).resolve().parents[3]


class Handler(MotoRequestHandler):
    """Says nothing about each request, nor about a client that was killed while it waited."""

    def log(self, *_: object) -> None:
        pass

    def connection_dropped(self, *_: object) -> None:
        pass


def start_fleet(block: int, images: Sequence[str]) -> Fleet:
    """The machines, and beforehand the janitor that outlives this process and removes them."""
    lab = uuid.uuid4().hex
    folder = tempfile.mkdtemp(prefix="fuel-code-lab-")
    # The janitor's end of the pipe must be the only thing that keeps it waiting: nobody else inherits ours.
    subprocess.Popen(
        [sys.executable, "-m", "tests.lab.ec2.janitor", lab, folder],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    fleet = Fleet(lab, block, Path(folder), images)
    fleet.start()
    return fleet


def end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-machines", action="store_true", help="the API alone, for big counts")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input closes")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=SECONDS", help="see settings.py")
    parser.add_argument(
        "--image", action="append", default=[], metavar="NAME", help="image of this engine that machines can pull"
    )
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
    fleet = None if options.no_machines else start_fleet(block, options.image)
    host = f"127.0.{block}.1"
    server = make_server(
        host,
        PORT,
        Lab(Cloud(settings, fleet)),
        threaded=True,
        request_handler=Handler,
        fd=listener.fileno(),
    )
    endpoint = f"http://{host}:{PORT}"
    ready = {
        "endpoint": endpoint,
        "control": f"{endpoint}/_lab/",
        "address_block": f"127.0.{block}.0/24",
        "machines": fleet is not None,
        "registry": fleet.registry if fleet is not None else "",
        "address_service": f"{endpoint}/_lab/address",
    }
    print(json.dumps(ready), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
