# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection: no stability promise to anybody outside it.

"""Every call to AWS goes through `Api.call`: bounded time, retries with jitter, one kind of error."""

from __future__ import annotations

import random
import time
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional

#: AWS is busy, or broken for a moment: the same call is made again.
THROTTLED = frozenset(
    {
        "EC2ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
BROKEN = frozenset({"InternalError", "InternalFailure", "InternalServerError", "ServiceUnavailable", "Unavailable"})
#: botocore's exceptions for an answer that did not come, or came damaged. The call may have taken effect.
LOST = frozenset({"HTTPClientError", "ConnectionError", "IncompleteReadError", "ResponseParserError"})
#: Of those, the ones for which nothing was ever reached: waiting longer rarely helps.
UNREACHED = frozenset({"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"})

#: The request went out, and no whole answer came back. What AWS did with it is not known.
UNANSWERED = frozenset(
    {
        "ConnectionClosedError",
        "ConnectionError",
        "HTTPClientError",
        "IncompleteReadError",
        "ReadTimeoutError",
        "ResponseParserError",
        "ResponseStreamingError",
    }
)


class ApiError(Exception):
    """What AWS answered, or why no answer came.

    :param operation: as AWS names it, for example `RunInstances`.
    :param code: AWS's error code, or the name of the exception for an error before any answer.
    :param message: in AWS's words.
    :param tries: how often the call was made; above 1, an earlier one may have taken effect.
    """

    def __init__(self, operation: str, code: str, message: str, tries: int = 1) -> None:
        super().__init__(f"{operation}: {code}: {message}")
        self.operation = operation
        self.code = code
        self.message = message
        self.tries = tries


def read_error(operation: str, error: Exception, tries: int) -> Optional[ApiError]:
    """The error as ApiError; None for one that does not come from botocore."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):
        said = response["Error"]
        return ApiError(operation, str(said.get("Code") or "Unknown"), str(said.get("Message") or ""), tries)
    names = _names(error)
    if "BotoCoreError" in names or names & LOST:
        return ApiError(operation, type(error).__name__, str(error), tries)
    return None


def _names(error: Exception) -> "frozenset[str]":
    return frozenset(each.__name__ for each in type(error).__mro__)


class Api:
    """A boto3 EC2 client with patience.

    :param patience: seconds for which a call that AWS throttles or loses is repeated.
    :param unreached: the same for a call that reaches nobody.
    """

    def __init__(
        self,
        client: Any,
        *,
        patience: float = 60.0,
        unreached: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._patience = patience
        self._unreached = min(unreached, patience)
        self._clock = clock
        self._sleep = sleep
        self._chance = chance

    def call(self, method: str, **parameters: Any) -> Dict[str, Any]:
        """The answer to client.<method>(**parameters); ApiError when there is none in time, or AWS refuses."""
        operation = "".join(part.capitalize() for part in method.split("_"))
        begun = self._clock()
        tries = 0
        while True:
            tries += 1
            try:
                answer: Dict[str, Any] = getattr(self._client, method)(**parameters)
                return answer
            except Exception as error:
                known = read_error(operation, error, tries)
                if known is None:
                    raise
                limit = self._limit(error, known.code)
                # Full jitter, as AWS recommends it: half a second, doubled each time, at most eight.
                pause = self._chance() * min(8.0, 0.5 * 2 ** min(tries, 5))
                if limit <= 0 or self._clock() - begun + pause > limit:
                    raise known from error
            self._sleep(pause)

    def pages(self, method: str, key: str, **parameters: Any) -> Iterator[Dict[str, Any]]:
        """The items under `key` of all pages."""
        token: Dict[str, str] = {}
        while True:
            answer = self.call(method, **parameters, **token)
            items: List[Dict[str, Any]] = answer.get(key) or []
            yield from items
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}

    def _limit(self, error: Exception, code: str) -> float:
        names = _names(error)
        if names & UNREACHED:
            return self._unreached
        if code in THROTTLED or code in BROKEN or names & LOST:
            return self._patience
        return 0.0
