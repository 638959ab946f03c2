# SPDX-License-Identifier: GPL-3.0-or-later
"""A source arrives over HTTP: in pieces, broken off, or with another digest."""

from __future__ import annotations

import hashlib
import io
from typing import Any

from flask.testing import FlaskClient

from fuelctl import paths
from tests.fuelctl.api import SMALL, Started, make, problem


def upload(http: FlaskClient, ref: str, content: bytes, offset: int = 0) -> Any:
    return http.put(f"/api/remote/{ref}/source?offset={offset}", data=content, content_type="application/octet-stream")


def test_a_source_arrives_in_pieces(http: FlaskClient, started: Started) -> None:
    content = bytes(range(256)) * 1000
    made = make(http, source={"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    path = f"/api/remote/{made['id']}/source"
    assert http.get(path).json == {"received": 0, "size": len(content), "complete": False}
    assert upload(http, made["id"], content[:100_000]).json["received"] == 100_000
    document = problem(upload(http, made["id"], content[:5]), 409, "wrong_offset")
    assert document["details"]["received"] == 100_000
    problem(upload(http, made["id"], b"x" * len(content), 100_000), 422, "source_too_large")
    assert started == []
    left = http.get(path).json["received"]
    assert upload(http, made["id"], content[left:], left).json == {
        "received": len(content),
        "size": len(content),
        "complete": True,
    }
    assert [item[0] for item in started] == ["provision"]
    assert upload(http, made["id"], b"").json["complete"] is True
    assert (paths.source_folder(made["id"]) / "source.tar").read_bytes() == content


def test_a_source_with_another_digest_starts_nothing(http: FlaskClient, started: Started) -> None:
    made = make(http, source={"sha256": "0" * 64, "size": 3})
    problem(upload(http, made["id"], b"abc"), 422, "wrong_digest")
    assert http.get(f"/api/remote/{made['id']}/source").json["received"] == 0
    assert started == []
    assert http.get(f"/api/remote/{made['id']}").json["status"] == "provisioning"


def test_a_source_has_its_own_limit_and_a_body_the_other(http: FlaskClient) -> None:
    content = b"x" * (SMALL.max_body_bytes * 2)
    made = make(http, source={"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)})
    assert upload(http, made["id"], content).json["complete"] is True
    without = make(http)
    problem(upload(http, without["id"], b"x"), 409, "no_source_expected")


def test_an_empty_source_completes(http: FlaskClient, started: Started) -> None:
    made = make(http, source={"sha256": hashlib.sha256(b"").hexdigest(), "size": 0})
    assert upload(http, made["id"], b"").json["complete"] is True
    assert len(started) == 1


def test_a_stream_that_breaks_keeps_what_came(http: FlaskClient) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            found = super().read(size)
            if not found:
                raise OSError("connection reset")
            return found

    made = make(http, source={"sha256": "0" * 64, "size": 1000})
    http.put(
        f"/api/remote/{made['id']}/source",
        input_stream=Broken(b"x" * 10),
        content_length=1000,
        content_type="application/octet-stream",
    )
    assert http.get(f"/api/remote/{made['id']}/source").json["received"] == 10
