# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS's price lists on loopback: a region index, one CSV per region, and the ways in which such a server can fail."""

from __future__ import annotations

import csv
import gzip
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

INDEX = "/offers/v1.0/aws/AmazonEC2/current/region_index.json"
COLUMNS = (
    "SKU", "TermType", "Unit", "PricePerUnit", "Currency", "Product Family", "Location Type", "Instance Type",
    "Tenancy", "Operating System", "operation", "CapacityStatus", "MarketOption", "Pre Installed S/W", "Region Code",
    "Volume API Name",
)  # fmt: skip


def price_list(region: str, machines: dict[str, float], gp3: float, noise: int = 0) -> bytes:
    """A region's list as AWS writes it, with `noise` rows about other systems between."""
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
    writer.writerow(("FormatVersion", "v1.0"))
    writer.writerow(("Publication Date", "2026-09-21T19:47:12Z"))
    writer.writerow(("Version", "20260921194712"))
    writer.writerow(("OfferCode", "AmazonEC2"))
    writer.writerow(COLUMNS)

    def machine(name: str, price: float, system: str) -> tuple[str, ...]:
        common = ("Shared", system, "RunInstances", "Used", "OnDemand", "NA", region, "")
        return ("s", "OnDemand", "Hrs", f"{price:.10f}", "USD", "Compute Instance", "AWS Region", name, *common)

    for name, price in machines.items():
        for number in range(noise):
            writer.writerow(machine(name, price + number, "Windows"))
        writer.writerow(machine(name, price, "Linux"))
    disk = ("s", "OnDemand", "GB-Mo", f"{gp3:.10f}", "USD", "Storage", "AWS Region", "", "", "", "", "", "", "", region)
    writer.writerow((*disk, "gp3"))
    return stream.getvalue().encode()


class PriceServer(ThreadingHTTPServer):
    """`lists`: region -> its list; `fault`: how the next answers fail (`cut`, `cut-plain`, `503`, `html`)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lists: dict[str, bytes] = {}
        self.fault = ""
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: PriceServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        fault = self.server.fault
        if fault == "503":
            self.send_error(503)
            return
        if self.path == INDEX:
            version = "/offers/v1.0/aws/AmazonEC2/20260921194712"
            regions = {
                name: {"regionCode": name, "currentVersionUrl": f"{version}/{name}/index.json"}
                for name in self.server.lists
            }
            self._answer(json.dumps({"formatVersion": "v1.0", "regions": regions}).encode(), packed=False)
            return
        region = self.path.split("/")[-2]
        body = b"<html>maintenance</html>" * 40 if fault == "html" else self.server.lists[region]
        self._answer(body, packed=fault != "cut-plain", cut=fault.startswith("cut"))

    def _answer(self, body: bytes, *, packed: bool, cut: bool = False) -> None:
        if packed and "gzip" in self.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
        else:
            packed = False
        self.send_response(200)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Quiet."""


@contextmanager
def price_server() -> Iterator[PriceServer]:
    """One that runs until the end of the block."""
    server = PriceServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
