# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Every call to Fly.io goes through `Api.call`: bounded time, retries that respect Retry-After, one kind of error."""

from __future__ import annotations

import http.client
import ipaddress
import json
import random
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Dict, List, Mapping, Optional
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit

from .._errors import UsageError

PUBLIC = "https://api.machines.dev"
#: Names to which a token may go without TLS: of this machine, and in Fly.io's own network.
PLAIN = ("localhost", "_api.internal")
NONCE = "fly-machine-lease-nonce"
#: Where an answer says how to ask for the next page, and how much of a list is one.
NEXT = "fly-next-cursor"
PAGE = 1000
#: The request never reached anybody: it can be made again whatever it asks for.
UNREACHED = (ConnectionRefusedError, socket.gaierror)
#: Our own word, where others come from Fly.io: whoever answers there proves to be nobody that this machine trusts.
CERTIFICATE = "certificate"
#: An answer is JSON of at most so many bytes.
LIMIT = 16 << 20


class ApiError(Exception):
    """What Fly.io answered, or why no answer came.

    :param call: method and path.
    :param status: of the answer; 0 without one.
    :param code: Fly.io's own word for it, where it gives one, for example `insufficient_capacity`.
    :param message: in Fly.io's words.
    :param unknown: the call may have taken effect all the same.
    """

    def __init__(self, call: str, status: int, message: str, code: str = "", *, unknown: bool = False) -> None:
        super().__init__(f"{call}: {status or 'no answer'}: {message}")
        self.call = call
        self.status = status
        self.message = message
        self.code = code
        self.unknown = unknown


def check_url(url: str) -> str:
    """The API's address without a slash at its end; UsageError for one that the token must not be sent to."""
    try:
        parts = urlsplit(url if "//" in url else f"https://{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme == "https" or (parts.scheme == "http" and _stays_inside(host)):
        if host and port != 0 and "@" not in parts.netloc and not parts.query:
            return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    raise UsageError(f"{url[:100]!r} is no address for a Fly.io token", hint=f"use {PUBLIC}, or leave it out")


def _stays_inside(host: str) -> bool:
    if host in PLAIN:
        return True
    try:
        # By the number: `127.example.com` is a name that anybody may have.
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_token(token: str) -> str:
    """The token as it goes into a header; UsageError without a whole one."""
    token = token.strip()
    if not token:
        raise UsageError(
            "no Fly.io token was given", hint="set FLY_API_TOKEN: fly tokens create org", code="credentials"
        )
    if not token.isascii() or not token.isprintable():
        raise UsageError("the Fly.io token has characters that no token has", hint="copy it again, as one line")
    return token


def place(*parts: str) -> str:
    """A path of these parts, none of which can become two, or none; UsageError for one that would."""
    for part in parts:
        if part in ("", ".", ".."):
            raise UsageError(f"{part!r} is no name on Fly.io", hint="name the app, and what is meant in it")
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


class Api:
    """The Machines API with patience.

    :param opener: `ansible.module_utils.urls.open_url`, or what behaves like it.
    :param patience: seconds for which a call that is refused for its rate, broken or lost is repeated.
    :param timeout: seconds for one answer.
    """

    def __init__(
        self,
        opener: Callable[..., Any],
        token: str,
        *,
        url: str = PUBLIC,
        patience: float = 60.0,
        timeout: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._opener = opener
        self._token = check_token(token)
        self._url = check_url(url)
        self.patience = patience
        self._timeout = timeout
        self.clock = clock
        self.sleep = sleep
        self._chance = chance
        self._next = ""

    def call(
        self,
        method: str,
        path: str,
        body: Optional[Mapping[str, Any]] = None,
        *,
        query: Optional[Mapping[str, Any]] = None,
        nonce: str = "",
        repeat: bool = True,
        longer: float = 0.0,
    ) -> Any:
        """The answer as plain data, None for an empty one; ApiError when there is none in time, or it is a refusal.

        :param repeat: whether it does no harm to make this call twice. Where it would, only what surely had no effect
            is made again, and `ApiError.unknown` says that nobody knows.
        :param longer: seconds for which this call itself is meant to wait.
        """
        begun = self.clock()
        tries = 0
        while True:
            tries += 1
            try:
                return self._once(method, path, body, query, nonce=nonce, longer=longer)
            except _FailedError as failed:
                again = failed.harmless or (repeat and failed.passing)
                # Full jitter: half a second, doubled each time, at most eight; told to come back at once, no sooner.
                pause = max(failed.pause, self._chance() * min(8.0, 0.5 * 2 ** min(tries, 5)))
                if not again or self.clock() - begun + pause > self.patience:
                    raise failed.error from None
            self.sleep(pause)

    def find(self, path: str, **more: Any) -> Any:
        """The answer to GET; None when there is no such thing."""
        try:
            return self.call("GET", path, **more)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def listed(
        self, path: str, key: str = "", *, required: bool = False, missed: Optional[List[str]] = None, **query: Any
    ) -> List[Dict[str, Any]]:
        """What GET lists, all pages of it; when there is no such thing, nothing, or ApiError where it is `required`.

        :param missed: gets the regions that Fly.io could not ask: what is there is not in the list.
        """
        found: List[Dict[str, Any]] = []
        cursor: Dict[str, Any] = {}
        while True:
            asked = {**query, **cursor}
            answer = self.call("GET", path, query=asked) if required else self.find(path, query=asked)
            if answer is None:
                return found
            items = answer if isinstance(answer, list) else answer.get(key) or []
            found.extend(items)
            if isinstance(answer, list):
                # Told beside a bare list; only with a limit, which is what makes pages, a cursor is taken.
                cursor = {"cursor": self._next, "limit": PAGE}
            else:
                cursor = {"cursor": answer.get("next_cursor")}
                if missed is not None:
                    missed.extend(answer.get("error_regions") or [])
            # A page may be short, or empty, with more to come.
            if not cursor["cursor"]:
                return found

    def _once(
        self,
        method: str,
        path: str,
        body: Optional[Mapping[str, Any]],
        query: Optional[Mapping[str, Any]],
        *,
        nonce: str,
        longer: float,
    ) -> Any:
        named = f"{method} {path}"
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        if nonce:
            headers[NONCE] = nonce
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode("utf-8")
        url = self._url + path + (f"?{urlencode(query)}" if query else "")
        try:
            # A redirect would carry the token to whoever it names.
            answer = self._opener(
                url,
                data=data,
                headers=headers,
                method=method,
                timeout=self._timeout + longer,
                follow_redirects="none",
                http_agent="fuel-code",
            )
            text = answer.read(LIMIT)
            self._next = str((getattr(answer, "headers", None) or {}).get(NEXT) or "")
        except HTTPError as error:
            raise _refused(named, error) from None
        except (URLError, OSError, http.client.HTTPException) as error:
            raise _lost(named, error) from None
        try:
            told = json.loads(text) if text.strip() else None
        except ValueError:
            # 2xx: it took effect, whatever the body says.
            told = None
        if told is None and method == "GET":
            # Half an answer, or a proxy's page, must not read as: there is nothing.
            raise _FailedError(ApiError(named, 0, "what came is no answer of Fly.io's"), passing=True)
        return told


class _FailedError(Exception):
    """One try that failed: the error, and what may be done about it."""

    def __init__(self, error: ApiError, *, harmless: bool = False, passing: bool = False, pause: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.harmless = harmless
        self.passing = passing
        self.pause = pause


def _refused(call: str, answer: HTTPError) -> _FailedError:
    message, code = "", ""
    try:
        with answer:
            said = json.loads(answer.read(1 << 16) or b"null")
    except (ValueError, OSError, http.client.HTTPException):
        said = None
    if isinstance(said, Mapping):
        message, code = str(said.get("error") or ""), str(said.get("status") or "")
    status = int(answer.code)
    error = ApiError(call, status, message or str(answer.reason or ""), code, unknown=status >= 500)
    pause = _retry_after(answer.headers.get("Retry-After") if answer.headers else None)
    return _FailedError(error, harmless=status == 429, passing=status in (500, 502, 503, 504), pause=pause)


def _lost(call: str, error: Exception) -> _FailedError:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        # Nothing was sent, and asking again brings no other certificate.
        return _FailedError(ApiError(call, 0, getattr(reason, "verify_message", "") or str(reason), CERTIFICATE))
    unreached = isinstance(reason, UNREACHED)
    told = ApiError(call, 0, str(reason) or type(reason).__name__, unknown=not unreached)
    return _FailedError(told, harmless=unreached, passing=True)


def _retry_after(value: Optional[str]) -> float:
    """Seconds, from a number or a date; 0 where it says neither."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0
