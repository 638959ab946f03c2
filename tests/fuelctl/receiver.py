# SPDX-License-Identifier: GPL-3.0-or-later
"""A receiver of webhooks, for real, on loopback: what came is kept, and what it answers is said by the test."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SECRET = base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Receiver:
    """`answers`: statuses, one after the other, the last for ever; a number below 0 closes the connection."""

    def __init__(self) -> None:
        self.answers: list[int] = [200]
        self.location = ""
        #: Seconds before each byte of an answer that has no end, until `over`.
        self.slow = 0.0
        self.over = threading.Event()
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []
        self.port = 0

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _headers, body in self.got]

    @property
    def types(self) -> list[str]:
        return [str(body["type"]) for body in self.bodies]

    def verify(self, index: int = -1) -> bool:
        """As a receiver does it that follows Standard Webhooks."""
        headers, body = self.got[index]
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        key = base64.b64decode(SECRET)
        right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(headers["webhook-signature"], f"v1,{right}")


@contextmanager
def listening(context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Receiver]:
    """A receiver at `host`."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            made.paths.append(self.path)
            status = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
            if status < 0:
                self.close_connection = True
                return
            if made.slow:
                self.wfile.write(b"HTTP/1.1 ")
                while not made.over.wait(made.slow):
                    try:
                        self.wfile.write(b"2")
                        self.wfile.flush()
                    except OSError:
                        break
                self.close_connection = True
                return
            self.send_response(status)
            if made.location:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_arguments: Any) -> None:
            """A sender that breaks off is what some tests want."""

    server = Server((host, 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        server.shutdown()
        server.server_close()


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(the server's, a client's that trusts it alone) for `name`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    alternative = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("192.0.2.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(alternative, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    unlocked = serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unlocked)
    public = made.public_bytes(serialization.Encoding.PEM)
    file.write_bytes(private + public)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=public.decode())
