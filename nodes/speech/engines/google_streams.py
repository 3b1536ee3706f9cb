"""Streams to Google over gRPC: one thread with one event loop drives all streams of a process.

The library's synchronous client takes two threads per stream; this module takes one thread for all streams.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from flowcore.speech import Ended, Expired, Listener, Stream, StreamError, Unavailable
from nodes.speech.cloud.loop_thread import LoopThread
from nodes.speech.engines.google_messages import ApiVersion, error_for

MAX_UNSENT_SECONDS = 30  # of audio that may wait for sending; beyond that, the service is stuck and the stream ends
LAST_RESULTS_TIMEOUT = 60  # seconds for the last results after a stream's greatest age; then the stream counts as hung


@dataclass
class GoogleConnection:
    """One of the library's clients, with its own connection, and the number of its streams."""

    client: Any
    streams: int = 0


class GoogleClient(LoopThread):
    """The thread, loop and connections of all streams of a process; ``connect`` is called in that thread."""

    def __init__(self, connect: Callable[[], Any], per_connection: int) -> None:
        self._connect = connect
        self._per_connection = per_connection
        self._connections: list[GoogleConnection] = []
        super().__init__("google")

    def connection(self) -> GoogleConnection:
        """Return the connection with the fewest streams, or a new one. Call this in the loop's thread only."""
        best = min(self._connections, key=lambda connection: connection.streams, default=None)
        if best is None or best.streams >= self._per_connection:
            best = GoogleConnection(self._connect())
            self._connections.append(best)
        return best

    async def disconnect(self) -> None:
        for connection in self._connections:
            await connection.client.transport.close()


class GoogleStream(Stream):
    """One call of StreamingRecognize with first request ``begin``; ``per_second`` is the bytes of a second of audio."""

    def __init__(
        self, client: GoogleClient, version: ApiVersion, begin: Any, per_second: int, listener: Listener
    ) -> None:
        self._client = client
        self._version = version
        self._begin = begin
        self._max_unsent = MAX_UNSENT_SECONDS * per_second
        self._listener = listener
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0  # approximate, as two threads change it without a lock: good enough for a bound
        self._half_closed = False
        self._over = False
        self._stuck: StreamError | None = None
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        client.post(self._start)

    # For the driver, from any thread.

    def send(self, audio: bytes) -> None:
        if self._over or self._half_closed:
            return
        self._unsent.append(audio)
        self._unsent_bytes += len(audio)
        if self._unsent_bytes > self._max_unsent and self._stuck is None:
            self._stuck = Unavailable(f"Google has taken no audio for {MAX_UNSENT_SECONDS} s")
            self._client.post(self._give_up)
        self._client.post(self._more.set)

    def end(self) -> None:
        self._half_closed = True
        self._client.post(self._more.set)

    def cancel(self) -> None:
        self._over = True
        self._client.post(self._give_up)

    # In the loop's thread.

    def _start(self) -> None:
        if not self._over:
            self._task = self._client.start(self._run())

    def _give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        from google.api_core.exceptions import GoogleAPICallError

        error: StreamError | None = None
        connection = call = None
        try:
            connection = self._client.connection()
            connection.streams += 1
            # No retry: v1's own would consume the requests, and with them the configuration.
            call = await connection.client.streaming_recognize(
                requests=self._requests(), retry=None, timeout=self._version.max_stream + LAST_RESULTS_TIMEOUT
            )
            async for response in call:
                for result in self._version.results(response):
                    if not self._over:
                        self._listener(result)
                if (error := self._version.response_error(response)) is not None:
                    break
            if error is None and not self._half_closed:
                error = Expired("Google ended the stream before the audio did")
        except GoogleAPICallError as caught:
            # If a stream ends during the writing of a request, grpc.aio may raise INTERNAL ("Internal error from Core")
            # and lose the reason: then the driver tries again, and the next stream gets the reason.
            code = caught.grpc_status_code
            error = error_for(code.name if code else "UNKNOWN", caught.message or "")
        except asyncio.CancelledError:
            error = self._stuck or Unavailable("the connection was closed")
        except Exception as caught:  # any error of the library must end the stream for its listener
            error = Unavailable(f"{type(caught).__name__}: {caught}")
        finally:
            if connection is not None:
                connection.streams -= 1
            if call is not None:
                call.cancel()
            over, self._over = self._over, True
            self._more.set()  # else gRPC would wait for requests for ever
            if not over:
                self._listener(Ended(error))

    async def _requests(self) -> AsyncIterator[Any]:
        yield self._begin
        while True:
            last = self._half_closed  # read first, so that audio sent before `end` goes out before the end
            while self._unsent and not self._over:
                audio = self._unsent.popleft()
                self._unsent_bytes -= len(audio)
                yield self._version.audio_request(audio)
            if last or self._over:
                return
            await self._more.wait()
            self._more.clear()
