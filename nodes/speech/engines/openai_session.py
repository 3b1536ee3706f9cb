"""One realtime session over WebSocket; a thread with one event loop drives the sessions of a process."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from flowcore.speech import Ended, Expired, Listener, Result, Stream, StreamError, Unavailable
from nodes.speech.cloud.loop_thread import LoopThread
from nodes.speech.engines.openai_account import AccountConfig, error_in
from nodes.speech.engines.openai_turns import Piece, TurnCutter, TurnTexts

OPEN_TIMEOUT = 10.0  # seconds for the connection and its handshake
CLOSE_TIMEOUT = 1.0  # seconds for the closing handshake
MAX_MESSAGE = 1 << 20  # bytes
MAX_UNSENT_BYTES = 1 << 20  # of text that may wait for sending: 90 s of mulaw; beyond that, the service is stuck
QUIET_INTERVAL = 10.0  # seconds of silence after which the driver learns that nothing was said
COMMIT = '{"type":"input_audio_buffer.commit"}'
TRANSCRIPTION = "conversation.item.input_audio_transcription."
SESSION_EXPIRED = "session_expired"


class RealtimeStream(Stream):
    """One session, which begins with the message ``session_update``."""

    def __init__(
        self,
        loop: LoopThread,
        account: AccountConfig,
        session_update: str,
        cutter: TurnCutter,
        texts: TurnTexts,
        listener: Listener,
    ) -> None:
        self._loop = loop
        self._account = account
        self._cutter = cutter
        self._texts = texts
        self._listener = listener
        self._unsent = deque([session_update])
        self._unsent_bytes = 0  # approximate, as two threads change it without a lock: good enough for a bound
        self._quiet_to = 0.0
        self._half_closed = False
        self._over = False
        self._stuck: StreamError | None = None
        self._more = asyncio.Event()
        self._task: asyncio.Task[StreamError | None] | None = None
        loop.post(self._start)

    # For the driver, from any thread.

    def send(self, audio: bytes) -> None:
        if self._over or self._half_closed:
            return
        self._put(self._cutter.push(audio))
        quiet_to = self._cutter.quiet_to
        if not self._texts and quiet_to >= self._quiet_to + QUIET_INTERVAL:
            self._quiet_to = quiet_to
            self._listener(Result("", True, quiet_to, quiet_to))

    def end(self) -> None:
        if not self._half_closed and not self._over:
            self._put(self._cutter.finish())
        self._half_closed = True
        self._loop.post(self._more.set)

    def cancel(self) -> None:
        self._over = True
        self._loop.post(self._give_up)

    def _put(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self._texts.add(piece.turn)
            if piece.audio:
                message = {"type": "input_audio_buffer.append", "audio": b64encode(piece.audio).decode()}
                self._unsent.append(msgspec.json.encode(message).decode())
                self._unsent_bytes += len(self._unsent[-1])
            if piece.last:
                self._unsent.append(COMMIT)
        if self._unsent_bytes > MAX_UNSENT_BYTES and self._stuck is None:
            self._stuck = Unavailable(f"{self._account.host} takes no more audio")
            self._loop.post(self._give_up)
        self._loop.post(self._more.set)

    # In the loop's thread.

    def _start(self) -> None:
        if not self._over:
            self._task = self._loop.start(self._run())
            self._task.add_done_callback(self._report_end)  # also called for a task that was cancelled before it began

    def _give_up(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _report_end(self, task: asyncio.Task[StreamError | None]) -> None:
        error = task.result() if not task.cancelled() else self._stuck or Unavailable("the connection was closed")
        over, self._over = self._over, True
        if not over:
            self._listener(Ended(error))

    async def _run(self) -> StreamError | None:
        """Run the session and return the error that ended it, if any."""
        host = self._account.host
        try:
            return await self._converse()
        except InvalidStatus as refused:
            return self._account.error(refused.response.status_code, error_in(bytes(refused.response.body or b"")))
        except TimeoutError:
            return Unavailable(f"{host} gave no answer within {OPEN_TIMEOUT:g} s")
        except (OSError, WebSocketException) as error:
            return Unavailable(f"{host} cannot be used: {error}")
        except Exception as error:  # any error must end the stream for its listener
            return Unavailable(f"{host}: {type(error).__name__}: {error}")

    async def _converse(self) -> StreamError | None:
        """Send and receive until all turns have their texts; return the error that ended the session, if any."""
        url = f"ws{self._account.url.removeprefix('http')}/realtime?intent=transcription"
        options: Any = {"open_timeout": OPEN_TIMEOUT, "close_timeout": CLOSE_TIMEOUT, "max_size": MAX_MESSAGE}
        async with connect(url, additional_headers=self._account.headers, **options) as socket:
            writer = asyncio.create_task(self._write(socket))
            try:
                async for message in socket:
                    if (error := self._receive(message)) is not None:
                        return error
                    if self._done:
                        return None
            finally:
                writer.cancel()
        return None if self._done else Expired(f"{self._account.host} ended the session before the audio did")

    @property
    def _done(self) -> bool:
        return self._half_closed and not self._unsent and not self._texts

    async def _write(self, socket: ClientConnection) -> None:
        while not self._done:
            while self._unsent:
                message = self._unsent.popleft()
                self._unsent_bytes -= len(message)
                await socket.send(message)
            if not self._done:
                await self._more.wait()
                self._more.clear()
        await socket.close()

    def _receive(self, message: str | bytes) -> StreamError | None:
        """Handle an event; return the error that it reports."""
        event = msgspec.json.decode(message)
        kind, item = str(event.get("type", "")), str(event.get("item_id", ""))
        results: list[Result] = []
        if kind == "input_audio_buffer.committed":
            self._texts.committed(item)
        elif kind == f"{TRANSCRIPTION}delta":
            grown = self._texts.grown(item, str(event.get("delta", "")))
            results = [grown] if grown else []
        elif kind == f"{TRANSCRIPTION}completed":
            results = self._texts.completed(item, str(event.get("transcript", "")))
        elif kind in ("error", f"{TRANSCRIPTION}failed"):
            return self._error(event.get("error"))
        for result in results:
            if not self._over:
                self._listener(result)
        return None

    def _error(self, error: Any) -> StreamError:
        fields = error if isinstance(error, dict) else {}
        if fields.get("code") == SESSION_EXPIRED:
            return Expired(f"{self._account.host}: {fields.get('message')}")
        of_session = str(fields.get("param") or "").startswith("session")  # such as an unknown model or language
        return self._account.error(403 if of_session else 0, error)
