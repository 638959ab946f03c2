# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Calls to Fly.io: what is made again, for how long, and what a failure says."""

from __future__ import annotations

import io
import json
import ssl
from email.message import Message
from urllib.error import HTTPError, URLError

import pytest
from ansible_collections.fuel_code.remote.plugins.module_utils._errors import FuelError, UsageError
from ansible_collections.fuel_code.remote.plugins.module_utils._fly import _api, _exec, _lease, _refusals
from ansible_collections.fuel_code.remote.plugins.module_utils._fly._api import Api, ApiError


class Text(str):
    """An answer that is no JSON."""


class Fly:
    """Answers what it is told to, in turn, and has a clock that only sleeping moves."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.now = 0.0

    def open(self, url, **how):
        self.asked.append((how["method"], url, how))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, tuple):
            raise refusal(*answer)
        if answer is None or isinstance(answer, Text):
            return io.BytesIO((answer or "").encode())
        return io.BytesIO(json.dumps(answer).encode())

    def sleep(self, seconds):
        self.now += seconds

    def api(self, **more):
        given = {"patience": 60.0, "clock": lambda: self.now, "sleep": self.sleep, "chance": lambda: 1.0}
        return Api(self.open, "FlyV1 secret", **{**given, **more})


def refusal(status, body, headers=None):
    message = Message()
    for name, value in (headers or {}).items():
        message[name] = value
    return HTTPError("https://api.machines.dev", status, "reason", message, io.BytesIO(body.encode()))


def test_token_goes_into_one_header_and_follows_no_redirect():
    fly = Fly({"ok": True})
    assert fly.api().call("GET", _api.place("apps", "a b/../c"), query={"x": "1&2"}) == {"ok": True}
    [(method, url, how)] = fly.asked
    assert (method, url) == ("GET", "https://api.machines.dev/v1/apps/a%20b%2F..%2Fc?x=1%262")
    assert how["headers"]["Authorization"] == "Bearer FlyV1 secret"
    assert how["follow_redirects"] == "none"


@pytest.mark.parametrize("token", ["", "  ", "two\nlines", "\x00", "é"])
def test_token_that_is_none_is_refused(token):
    with pytest.raises(UsageError):
        Api(Fly({}).open, token)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.machines.dev/",
        "api.machines.dev",
        "http://127.0.128.1:4280",
        "http://[::1]:4280",
        "http://_api.internal:4280",
    ],
)
def test_addresses_that_a_token_may_go_to(url):
    assert not _api.check_url(url).endswith("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.machines.dev",
        "http://127.0.0.1.example.com",
        "http://127.evil@example.com",
        "ftp://x",
        "https://",
        "https://[::1",
        "https://x:port",
        "https://u:p@x",
        "https://:p@x",
        "https://x?y",
    ],
)
def test_addresses_that_it_may_not(url):
    with pytest.raises(UsageError):
        _api.check_url(url)


def test_retry_after_is_respected_within_patience():
    fly = Fly((429, '{"error": "slow"}', {"Retry-After": "7"}), {"ok": True})
    assert fly.api().call("POST", "/v1/apps", {}, repeat=False) == {"ok": True}
    assert fly.now == 7.0
    impatient = Fly((429, '{"error": "slow"}', {"Retry-After": "120"}))
    with pytest.raises(ApiError) as raised:
        impatient.api().call("GET", "/v1/apps")
    assert (raised.value.status, len(impatient.asked)) == (429, 1)


@pytest.mark.parametrize("told", ["Wed, 21 Oct 2015 07:28:00 GMT", "0", "-5", "nan", "soon"])
def test_who_is_told_to_come_back_at_once_takes_longer_each_time(told):
    fly = Fly((429, "{}", {"Retry-After": told}))
    with pytest.raises(ApiError):
        fly.api(patience=60.0).call("GET", "/v1/apps")
    assert len(fly.asked) < 15
    assert 40.0 < fly.now <= 60.0


def test_a_certificate_that_is_not_trusted_is_told_at_once():
    error = ssl.SSLCertVerificationError(1, "self-signed certificate in certificate chain")
    fly = Fly(URLError(error))
    with pytest.raises(ApiError) as raised:
        fly.api().call("GET", "/v1/apps")
    assert (len(fly.asked), fly.now, raised.value.unknown) == (1, 0.0, False)
    told = _refusals.explain(raised.value)
    assert told.code == "fly_certificate"
    assert "SSL_CERT_FILE" in told.hint


@pytest.mark.parametrize("answer", [(503, "no json"), (500, "{}"), (502, ""), URLError("gone"), TimeoutError("slow")])
def test_what_may_have_taken_effect_is_repeated_only_where_that_is_harmless(answer):
    fly = Fly(answer, {"ok": True})
    assert fly.api().call("POST", "/v1/apps", {}) == {"ok": True}
    once = Fly(answer)
    with pytest.raises(ApiError) as raised:
        once.api().call("POST", "/v1/apps", {}, repeat=False)
    assert raised.value.unknown
    assert len(once.asked) == 1


def test_what_reached_nobody_is_always_repeated():
    fly = Fly(URLError(ConnectionRefusedError(111, "refused")), {"ok": True})
    assert fly.api().call("POST", "/v1/apps", {}, repeat=False) == {"ok": True}


def test_it_ends_when_patience_does():
    fly = Fly((503, "{}"))
    with pytest.raises(ApiError):
        fly.api(patience=20.0).call("GET", "/v1/apps")
    assert 10.0 < fly.now <= 20.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 422])
def test_refusals_are_not_repeated(status):
    fly = Fly((status, '{"error": "no", "status": "word"}'))
    with pytest.raises(ApiError) as raised:
        fly.api().call("GET", "/v1/apps")
    error = raised.value
    assert (error.status, error.message, error.code, error.unknown, len(fly.asked)) == (status, "no", "word", False, 1)


@pytest.mark.parametrize("answer", [None, Text('{"id": '), Text("<html>sign in</html>")])
def test_answer_that_is_none_says_nothing_of_what_there_is(answer):
    assert Fly(answer).api().call("DELETE", "/v1/apps/x") is None
    with pytest.raises(ApiError) as raised:
        Fly(answer).api().listed("/v1/apps/x/machines")
    assert _refusals.explain(raised.value).code == "fly_unreachable"
    assert Fly(answer, [{"id": 1}]).api().listed("/v1/apps/x/machines") == [{"id": 1}]


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_a_part_of_a_path_that_is_no_name_is_refused(part):
    with pytest.raises(UsageError):
        _api.place("apps", part, "secrets")


def test_pages_are_read_to_the_last():
    fly = Fly({"machines": [{"id": 1}], "next_cursor": "c"}, {"machines": [{"id": 2}], "next_cursor": ""})
    assert fly.api().listed("/v1/orgs/o/machines", "machines") == [{"id": 1}, {"id": 2}]
    assert fly.asked[1][1].endswith("?cursor=c")
    assert Fly((404, "{}")).api().listed("/v1/apps/x/machines") == []
    with pytest.raises(ApiError):
        Fly((404, "{}")).api().listed("/v1/apps", "apps", required=True)


class Paged(io.BytesIO):
    """A bare list, whose next page is told beside it."""

    def __init__(self, items, cursor=""):
        super().__init__(json.dumps(items).encode())
        self.headers = {"fly-next-cursor": cursor} if cursor else {}


def test_pages_of_a_bare_list_are_read_to_the_last_though_one_is_empty():
    pages = [Paged([{"id": 1}], "c"), Paged([], "d"), Paged([{"id": 2}])]
    asked = []
    api = Api(lambda url, **_how: asked.append(url) or pages.pop(0), "FlyV1 x")
    assert api.listed("/v1/apps/a/machines") == [{"id": 1}, {"id": 2}]
    assert [each.partition("?")[2] for each in asked] == ["", "cursor=c&limit=1000", "cursor=d&limit=1000"]


def test_regions_that_could_not_be_asked_are_told():
    missed = []
    page = {"machines": [], "error_regions": ["gru"], "next_cursor": ""}
    assert Fly(page).api().listed("/v1/orgs/o/machines", "machines", missed=missed) == []
    assert missed == ["gru"]


@pytest.mark.parametrize(
    ("status", "code", "message", "ours"),
    [
        (422, "insufficient_capacity", "x", "fly_capacity"),
        (409, "", "aborted: insufficient CPUs available to fulfill request", "fly_capacity"),
        (422, "name_taken", "x", "fly_name_taken"),
        (401, "", "x", "credentials"),
        (403, "", "x", "permission"),
        (429, "", "x", "fly_busy"),
        (0, "", "refused", "fly_unreachable"),
        (503, "", "", "fly_broken"),
        (400, "", "a\nb\tc\x1b[0m", "fly_refused"),
    ],
)
def test_each_refusal_is_one_line_with_what_to_do(status, code, message, ours):
    told = _refusals.explain(ApiError("GET /v1/apps", status, message, code))
    assert told.code == ours
    assert told.hint
    assert str(told).isprintable()


def test_lease_is_read_with_and_without_its_envelope_and_given_back():
    for answer in ({"nonce": "n"}, {"status": "success", "data": {"nonce": "n"}}):
        fly = Fly(answer)
        with _lease.held(fly.api(), "a", "m", "test") as nonce:
            assert nonce == "n"
        assert [asked[0] for asked in fly.asked] == ["POST", "DELETE"]
        assert fly.asked[1][2]["headers"][_api.NONCE] == "n"


def test_lease_that_ends_is_waited_for():
    held = (409, '{"error": "machine ID m lease currently held by somebody"}')
    fly = Fly(held, held, {"nonce": "n"})
    with _lease.held(fly.api(), "a", "m", "test"):
        assert fly.now == 2 * _lease.INTERVAL


MACHINES = [{"id": "1", "name": "dev", "state": "started"}]


def command(**more):
    return _exec.Command(**{"app": "a", "machine": "dev", "argv": ["cat", "x"], **more})


def test_command_is_run_once_whatever_comes_of_it():
    fly = Fly(MACHINES, {"exit_code": 3, "stdout": "out", "stderr": "err"})
    done = _exec.run(fly.api(), command())
    assert (done.machine_id, done.rc, done.stdout, done.stderr) == ("1", 3, "out", "err")
    lost = Fly(MACHINES, URLError("gone"))
    with pytest.raises(FuelError):
        _exec.run(lost.api(), command())
    assert len(lost.asked) == 2


def test_command_that_does_no_harm_is_run_until_it_ends_well():
    fly = Fly(MACHINES, {"exit_code": 1}, URLError("gone"), {"exit_code": 0, "stdout": "key"})
    assert _exec.run(fly.api(), command(again=True)).stdout == "key"
    never = Fly(MACHINES, {"exit_code": 1})
    assert _exec.run(never.api(patience=3.0), command(again=True)).rc == 1


@pytest.mark.parametrize("machines", [[], [{"id": "1", "name": "dev", "state": "stopped"}]])
def test_command_needs_a_machine_that_runs(machines):
    with pytest.raises(FuelError) as raised:
        _exec.run(Fly(machines).api(), command())
    assert raised.value.code == "fly_not_started"


@pytest.mark.parametrize("wrong", [{"argv": []}, {"timeout": 0}, {"timeout": 61}])
def test_command_that_cannot_be_run_is_refused(wrong):
    with pytest.raises(UsageError):
        _exec.run(Fly(MACHINES).api(), command(**wrong))


def test_command_that_a_signal_ended_has_not_ended_well():
    assert _exec.run(Fly(MACHINES, {"exit_code": 0, "exit_signal": 9}).api(), command()).rc == 128
