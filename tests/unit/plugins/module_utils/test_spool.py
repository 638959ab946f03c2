# SPDX-License-Identifier: GPL-3.0-or-later
"""The spool: what hooks write with plain sh, and what is believed of what is read."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError
from ansible_collections.fuel_code.remote.plugins.module_utils._inside import InContainer
from ansible_collections.fuel_code.remote.plugins.module_utils._spool import (
    HOOK_SCRIPT,
    PUSH_SCRIPT,
    SpoolBatch,
    parse_spool,
    read_spool,
)

ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


@pytest.fixture
def spool(tmp_path):
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def hook(spool, kind, event, **environment):
    text = event if isinstance(event, str) else json.dumps(event, separators=(",", ":"))
    done = subprocess.run(
        ["sh", "-c", HOOK_SCRIPT, "hook", kind],
        input=text.encode(),
        env={**os.environ, "FUEL_CODE_SPOOL": str(spool), **environment},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == b""


def events(spool):
    return [json.loads(line) for path in sorted(spool.glob("events.*.jsonl")) for line in path.read_text().splitlines()]


def test_an_event_says_what_happened_and_nothing_of_what_was_said(spool):
    before = time.time()
    hook(
        spool,
        "tool.start",
        {
            "session_id": "abc-1",
            "hook_event_name": "PreToolUse",
            "tool_name": "Bash",
            "tool_input": {"command": "canary"},
        },
    )
    [event] = events(spool)
    assert ULID.fullmatch(event["id"])
    assert before - 1 < event["at"] < time.time() + 1
    assert (event["type"], event["data"]) == ("tool.start", {"session": "abc-1", "tool": "Bash"})
    # The first ten characters are the time, so that events sort by it.
    value = 0
    for character in event["id"][:10]:
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(character)
    assert value == round(event["at"] * 1000)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("", {}),
        ("not json", {}),
        ("{", {}),
        ({"session_id": "a", "prompt": '","session_id":"fake'}, {"session": "a"}),
        ({"session_id": 'a"b'}, {}),
        ({"session_id": "$(touch x)"}, {}),
        ({"session_id": "a\nb"}, {}),
        ({"session_id": "x" * 101}, {}),
        ({"prompt": "x" * 100000, "session_id": "late"}, {}),
        ('{\n  "session_id": "spaced",\n  "tool_name": "Bash"\n}', {"session": "spaced"}),
    ],
)
def test_whatever_comes_the_line_is_whole(spool, event, data):
    hook(spool, "session.prompt", event)
    [told] = events(spool)
    assert told["data"] == data


def test_many_at_once_do_not_mix(spool):
    script = (
        'i=0; while [ $i -lt 15 ]; do echo "{\\"session_id\\":\\"s\\"}" | sh -c "$HOOK" hook tool.end; i=$((i+1)); done'
    )
    environment = {**os.environ, "FUEL_CODE_SPOOL": str(spool), "HOOK": HOOK_SCRIPT, "FUEL_CODE_SPOOL_LIMIT": "1000"}
    running = [subprocess.Popen(["sh", "-c", script], env=environment) for _number in range(4)]
    for process in running:
        assert process.wait() == 0
    found = events(spool)
    assert len({event["id"] for event in found}) == len(found)
    # The spool is bounded: the oldest files are gone with the next one, what is left is whole.
    newest = max(spool.glob("events.*.jsonl"))
    for _turn in range(100):
        if max(spool.glob("events.*.jsonl")) != newest:
            break
        hook(spool, "tool.end", {"session_id": "s"}, FUEL_CODE_SPOOL_LIMIT="1000")
    assert len(list(spool.glob("events.*.jsonl"))) <= 3
    assert 10 < len(events(spool)) < 60


def test_what_was_written_to_a_file_that_had_been_removed_goes_too(spool):
    """By a hook that was held up while others went on."""
    for number in (1, 5, 6, 7):
        (spool / f"events.{number:010d}.jsonl").write_text("{}\n" * 400)
    hook(spool, "tool.end", {"session_id": "s"}, FUEL_CODE_SPOOL_LIMIT="1000")
    assert [path.name for path in sorted(spool.glob("events.*.jsonl"))] == [
        f"events.{number:010d}.jsonl" for number in (6, 7, 8)
    ]


def test_a_spool_that_is_not_there_holds_nobody_up(tmp_path):
    hook(tmp_path / "nowhere", "session.start", {})


def chunk(number, offset, data):
    return f"{number} {offset} {base64.b64encode(data).decode()}"


GOOD = b'{"id":"01M7Z3S0CH4SHAREVKD5T2D28Q","at":1795266740.625,"type":"session.start","data":{"session":"a"}}\n'


def test_reading_stops_at_the_last_whole_line():
    batch = parse_spool(chunk(1, 10, GOOD + GOOD[:20]) + "\n" + chunk(2, 0, b"") + "\n")
    assert [event["type"] for event in batch.events] == ["session.start"]
    assert batch.cursor == f"1:{10 + len(GOOD)},2:0"


@pytest.mark.parametrize(
    "line",
    [
        b"not json\n",
        b"[]\n",
        b'{"id":"x","at":1,"type":"session.start","data":{}}\n',
        GOOD.replace(b"session.start", b"remote.provision.ready"),
        GOOD.replace(b"1795266740.625", b'"now"'),
        GOOD.replace(b"1795266740.625", b"true"),
        GOOD.replace(b'"a"', b'"' + b"a" * 5000 + b'"'),
        b"[" * 3000 + b"\n",
        b"\xff\xfe\n",
    ],
    ids=lambda line: repr(line)[:30],
)
def test_what_is_no_event_of_ours_is_passed_over(line):
    batch = parse_spool(chunk(1, 0, line + GOOD))
    assert len(batch.events) == 1
    assert batch.cursor == f"1:{len(line) + len(GOOD)}"


def test_data_is_cut_to_something_flat_and_small():
    line = GOOD.replace(b'{"session":"a"}', json.dumps({f"k{n}": {"x": "y" * 500} for n in range(5)}).encode())
    [event] = parse_spool(chunk(1, 0, line)).events
    assert all(isinstance(value, str) and len(value) <= 200 for value in event["data"].values())


@pytest.mark.parametrize("text", ["", "garbage", "1 2", "a b c", "1 0 !!!", "\n" * 100])
def test_an_answer_that_is_none(text):
    assert parse_spool(text).events == []


@pytest.mark.parametrize("cursor", ["x", "1", "1:2;rm", "1:2,", "1:2\n3:4", "1:" + "9" * 40])
def test_a_cursor_that_is_none(cursor):
    with pytest.raises(FuelError):
        read_spool(InContainer("container", "dev"), cursor)


def test_an_empty_batch_reads_on_from_the_beginning():
    assert SpoolBatch().cursor == ""


@pytest.fixture
def receiver():
    """Takes batches; answers with the codes in `answers`, then 200."""
    taken, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            code = answers.pop(0) if answers else 200
            if code == 200:
                taken.append((self.path, self.headers.get("Authorization"), json.loads(body)))
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/api/remote/X/events", taken, answers
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="without curl nothing is pushed: the spool is fetched")
def test_events_are_pushed_once_each_and_kept_until_taken(spool, tmp_path, receiver):
    url, taken, answers = receiver
    callback = tmp_path / "callback"
    callback.mkdir()
    (callback / "url").write_text(url)
    (callback / "header").write_text("Authorization: Bearer canary-token\n")
    environment = {**os.environ, "FUEL_CODE_SPOOL": str(spool), "FUEL_CODE_CALLBACK": str(callback)}

    def push():
        subprocess.run(["sh", "-c", PUSH_SCRIPT, "push"], env=environment, check=True, capture_output=True)

    for number in range(3):
        hook(spool, "tool.end", {"session_id": f"s{number}"})
    answers.append(503)
    push()
    assert taken == []
    push()
    hook(spool, "session.end", {"session_id": "last"})
    with (spool / "events.0000000001.jsonl").open("a") as stream:
        stream.write('{"id":"half a line')
    push()
    push()
    assert [path for path, _header, _body in taken] == ["/api/remote/X/events"] * 2
    assert {header for _path, header, _body in taken} == {"Bearer canary-token"}
    told = [event["data"]["session"] for _path, _header, body in taken for event in body["events"]]
    assert told == ["s0", "s1", "s2", "last"]
