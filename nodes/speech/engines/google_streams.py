"""Streams to Google over gRPC: one thread with one event loop drives all of a process, over several connections.

The library's synchronous client takes two threads for each stream; this takes one for all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from flowcore.speech import Ended, Expired, Listener, Stream, StreamError, Unavailable
from nodes.speech.engines.google_messages import Version, error_for

MOST_UNSENT = 30
"""Seconds of audio that wait to be sent. Then the network or the service is stuck, and the stream is given up."""
LINGER = 60
"""Seconds that a stream may take beyond its longest life, to say its last words; then it hangs, and is ended."""
CLOSE_WITHIN = 5.0  # seconds


class Connection:
    """A client with a connection of its own, and how many streams it carries."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.streams = 0


class Calls:
    """All streams of a process. ``connect`` makes a client, in this object's own thread."""

    def __init__(self, connect: Callable[[], Any], per_connection: int) -> None:
        self._connect = connect
        self._per_connection = per_connection
        self._connections: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="google", daemon=True)
        self._thread.start()

    def post(self, call: Callable[[], None]) -> None:
        """Have ``call`` made in the loop's thread. From any thread; once closed, it is forgotten."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` as a task, ended by `close` at the latest. In the loop's thread."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def connection(self) -> Connection:
        """The connection with the fewest streams, a new one if all are full. In the loop's thread."""
        best = min(self._connections, key=lambda connection: connection.streams, default=None)
        if best is None or best.streams >= self._per_connection:
            best = Connection(self._connect())
            self._connections.append(best)
        return best

    def close(self) -> None:
        """End all streams and connections, and the thread."""
        self.post(self._loop.stop)
        self._thread.join(CLOSE_WITHIN)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        for connection in self._connections:
            await connection.client.transport.close()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)


class GoogleStream(Stream):
    """One StreamingRecognize, from its first request ``begin``; ``per_second`` is bytes of audio."""

    def __init__(self, calls: Calls, version: Version, begin: Any, per_second: int, listener: Listener) -> None:
        self._calls = calls
        self._version = version
        self._begin = begin
        self._most = MOST_UNSENT * per_second
        self._listener = listener
        self._unsent: deque[bytes] = deque()
        self._size = 0  # bytes in it; two threads change it, so it is near enough for a bound, and no more
        self._half_closed = False
        self._over = False
        self._stuck: StreamError | None = None
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        calls.post(self._start)

    # The caller's side, from any thread.

    def send(self, audio: bytes) -> None:
        if self._over or self._half_closed:
            return
        self._unsent.append(audio)
        self._size += len(audio)
        if self._size > self._most and self._stuck is None:
            self._stuck = Unavailable(f"Google has taken no audio for {MOST_UNSENT} s")
            self._calls.post(self._give_up)
        self._calls.post(self._more.set)

    def end(self) -> None:
        self._half_closed = True
        self._calls.post(self._more.set)

    def cancel(self) -> None:
        self._over = True
        self._calls.post(self._give_up)

    # The loop's side.

    def _start(self) -> None:
        if not self._over:
            self._task = self._calls.start(self._run())

    def _give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        from google.api_core.exceptions import GoogleAPICallError

        error: StreamError | None = None
        connection = call = None
        try:
            connection = self._calls.connection()
            connection.streams += 1
            # v1's own retry would use up the requests, the first of them the configuration: never let it.
            call = await connection.client.streaming_recognize(
                requests=self._requests(), retry=None, timeout=self._version.max_stream + LINGER
            )
            async for response in call:
                for result in self._version.results(response):
                    if not self._over:
                        self._listener(result)
                if (error := self._version.failure(response)) is not None:
                    break
            if error is None and not self._half_closed:
                error = Expired("Google ended the stream before the audio did")
        except GoogleAPICallError as caught:
            # Of a stream that ends while a request is being written, grpc.aio may say INTERNAL ("Internal error from
            # Core") and forget the reason: then the stream is tried again, and the next one tells it.
            code = caught.grpc_status_code
            error = error_for(code.name if code else "UNKNOWN", caught.message or "")
        except asyncio.CancelledError:
            error = self._stuck or Unavailable("the connection was closed")
        except Exception as caught:  # whatever the library raises, the stream's owner has to hear of its end
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
            last = self._half_closed  # looked at first: what is sent before `end` goes out before it
            while self._unsent and not self._over:
                audio = self._unsent.popleft()
                self._size -= len(audio)
                yield self._version.audio(audio)
            if last or self._over:
                return
            await self._more.wait()
            self._more.clear()
