"""Requests to a service with OpenAI's API, repeated while that can help, and never for long."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from threading import Event
from time import monotonic
from typing import Any

import msgspec

from flowcore.speech import DecodeFailed, Rejected, StreamError, Unavailable
from nodes.speech.engines.openai_account import AccountConfig, error_in

CONNECT_TIMEOUT = 5.0  # seconds
DEADLINE = 15.0  # seconds for a request with all its repetitions, as long as utterances wait by default
MAX_ANSWER = 1 << 20  # bytes
FIRST_PAUSE = 0.5  # seconds before the first repetition; doubled each time, unless the service names a time
REPEATED = (408, 409, 429, 500, 502, 503, 504)  # statuses after which the same request may succeed, as OpenAI's clients
QUOTA_USED_UP = "insufficient_quota"  # waiting does not help


class Requests:
    """The requests of one thread: up to ``timeout`` seconds each, `DEADLINE` with all repetitions.

    ``now`` gives seconds, and ``wait`` waits for some.
    """

    def __init__(
        self,
        account: AccountConfig,
        timeout: float,
        now: Callable[[], float] = monotonic,
        wait: Callable[[float], Any] | None = None,
    ) -> None:
        import httpx

        self._account = account
        self._timeout = timeout
        self._now = now
        self._closed = Event()
        self._wait = wait or self._closed.wait
        self._client = httpx.Client(headers=account.headers)

    def post(self, path: str, fields: Mapping[str, str], files: Mapping[str, Any]) -> dict[str, Any]:
        """Send a form with files and return the answer's JSON. Raises `Rejected` or `DecodeFailed`."""
        deadline, pause = self._now() + DEADLINE, FIRST_PAUSE
        while True:
            error, delay = self._attempt(path, fields, files, deadline - self._now())
            if isinstance(error, dict):
                return error
            if isinstance(error, Rejected):
                raise error
            delay = pause if delay is None else delay
            if self._now() + delay >= deadline or self._closed.is_set():
                raise DecodeFailed(str(error)) from error
            self._wait(delay)
            pause *= 2

    def _attempt(
        self, path: str, fields: Mapping[str, str], files: Mapping[str, Any], left: float
    ) -> tuple[dict[str, Any] | StreamError, float | None]:
        """Send the request once; return the answer, or the error with the seconds to wait, ``inf`` for ever."""
        import httpx

        host, url = self._account.host, self._account.url + path
        seconds = min(self._timeout, left)
        until = self._now() + seconds
        limits = httpx.Timeout(seconds, connect=min(CONNECT_TIMEOUT, seconds))
        content = b""
        try:
            with self._client.stream("POST", url, data=fields, files=files, timeout=limits) as response:
                for piece in response.iter_bytes():
                    content += piece
                    if self._now() > until:  # httpx bounds the wait for each piece only
                        raise httpx.ReadTimeout("")
                    if len(content) > MAX_ANSWER:
                        raise httpx.DecodingError(f"its answer has more than {MAX_ANSWER} bytes")
        except httpx.TimeoutException as error:
            return Unavailable(f"{host} gave no answer within {seconds:.2g} s ({type(error).__name__})"), None
        except (httpx.HTTPError, RuntimeError) as error:  # RuntimeError: the client was closed meanwhile
            return Unavailable(f"{host} cannot be used: {error or type(error).__name__}"), None
        if response.is_success:
            return self._read(content), None
        said = error_in(content)
        quota = isinstance(said, dict) and said.get("code") == QUOTA_USED_UP
        delay = _seconds(response.headers.get("Retry-After")) if response.status_code in REPEATED else math.inf
        return self._account.error(response.status_code, said), math.inf if quota else delay

    def _read(self, content: bytes) -> dict[str, Any] | StreamError:
        try:
            answer = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError):
            answer = None
        if isinstance(answer, dict):
            return answer
        return Unavailable(f"{self._account.host} sent an answer that is no JSON object")

    def close(self) -> None:
        """End the waiting for a repetition, and all connections; from any thread."""
        self._closed.set()
        self._client.close()


def _seconds(text: str | None) -> float | None:
    """Return the seconds of a ``Retry-After``; None without one, or for a date, which these services do not send."""
    try:
        return max(0.0, float(text or ""))
    except ValueError:
        return None
