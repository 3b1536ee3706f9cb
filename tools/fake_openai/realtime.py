"""``/v1/realtime?intent=transcription`` over a real WebSocket on this machine."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from tools.fake_google.words import WordReader

from . import rules
from .rules import KEY, Refused

CHECK_INTERVAL = 0.01  # seconds of real time between two checks of the sessions' ages
TRANSCRIPTION = "conversation.item.input_audio_transcription."

Fault = Callable[[int], str]
"""Fault of a session by its number from 0: empty for none, ``drop`` (the connection ends), ``failed`` (a turn cannot be
transcribed), ``hang`` (no answers), ``busy`` (429), ``broken`` (500); each but the last two after the first turn."""


@dataclass(eq=False)
class SessionLog:
    """One session; may be read while it runs."""

    number: int
    opened: float
    session: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    """Audio that arrived."""
    turns: list[str] = field(default_factory=list)
    """Texts of the committed turns."""
    broken: int = 0
    """Words of which only a part arrived."""
    errors: list[str] = field(default_factory=list)


class RealtimeService:
    """The service in a thread of its own, for the length of a ``with`` block, at ``url``.

    ``clock`` gives the seconds against which the length of sessions is measured: real time, ``speed`` times as fast, or
    a clock of the test. ``late`` says for the number of a turn, from 0, whether its text comes after the next turn's.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        key: str = KEY,
        speed: float = 1.0,
        clock: Callable[[], float] | None = None,
        max_session: float = rules.MAX_SESSION,
        fault: Fault = lambda number: "",
        late: Callable[[int], bool] = lambda turn: False,
    ) -> None:
        self.sessions: list[SessionLog] = []
        self.url = ""
        self.fault = fault
        self._attempts = 0
        self._key = key
        self._port = port
        self._clock = clock or (lambda: time.monotonic() * speed)
        self._max_session = max_session
        self._late = late
        self._listening: Future[str] = Future()
        self._stop: Callable[[], object]
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="fake-openai", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = self._listening.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
        self._thread.join()

    def turn(self) -> None:
        """Wait for one turn of the event loop, for clocks that must not run ahead of it on a busy machine."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result()

    async def _main(self) -> None:
        self._loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = lambda: self._loop.call_soon_threadsafe(stopped.set)
        limits: Any = {"max_size": 2 * rules.MAX_APPEND, "ping_interval": None, "close_timeout": 0.1}
        try:
            async with serve(self._serve, "127.0.0.1", self._port, process_request=self._admit, **limits) as server:
                port = server.sockets[0].getsockname()[1]
                self._listening.set_result(f"http://127.0.0.1:{port}/v1")
                await stopped.wait()
        except OSError as error:  # passed on to the thread that waits for the address
            self._listening.set_exception(error)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        fault = self.fault(self._attempts)
        self._attempts += 1
        connection.fault, connection.number = fault, self._attempts - 1  # type: ignore[attr-defined]
        try:
            rules.check_key(request.headers.get("Authorization"), self._key)
            path, _, query = request.path.partition("?")
            if path != "/v1/realtime":
                raise Refused(404, f"Invalid URL (GET {path})")
            if query != "intent=transcription":
                raise Refused(400, "this fake transcribes only: intent=transcription")
            if fault == "busy":
                raise rules.too_many(1.0)
            if fault == "broken":
                raise Refused(
                    500, "The server had an error while processing your request.", "server_error", "server_error"
                )
        except Refused as refused:
            response = connection.respond(refused.status, json.dumps({"error": refused.body}))
            response.headers.update(refused.headers)
            return response
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        log = SessionLog(connection.number, self._clock())  # type: ignore[attr-defined]
        self.sessions.append(log)
        session = _Session(connection, log, connection.fault, self._late)  # type: ignore[attr-defined]
        work = asyncio.ensure_future(session.run())
        try:
            while not work.done():
                await asyncio.wait([work], timeout=CHECK_INTERVAL)
                if self._clock() - log.opened >= self._max_session:
                    await session.refuse(
                        Refused(0, "Your session hit the maximum duration of 60 minutes.", "session_expired")
                    )
                    return
        except ConnectionClosed:
            pass
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            log.broken += session.reader.broken


class _Session:
    def __init__(self, connection: ServerConnection, log: SessionLog, fault: str, late: Callable[[int], bool]) -> None:
        self.reader = WordReader()
        self._connection = connection
        self._log = log
        self._fault = fault
        self._late = late
        self._rate, self._width = 0, 0
        self._words: list[str] = []  # of the open turn
        self._buffered = 0.0  # seconds in the open turn
        self._held: list[dict[str, Any]] = []  # events that come after the next turn's

    async def run(self) -> None:
        try:
            await self._send("session.created", session={"type": "transcription"})
            async for message in self._connection:
                await self._handle(json.loads(message))
        except ConnectionClosed:
            pass

    async def refuse(self, refused: Refused) -> None:
        """Report an error and end the session."""
        self._log.errors.append(refused.message)
        await self._send("error", error=refused.body)
        await self._connection.close()

    async def _handle(self, event: dict[str, Any]) -> None:
        if self._fault == "hang" and self._log.turns:
            await asyncio.get_running_loop().create_future()
        try:
            if event["type"] == "session.update":
                self._configure(event["session"])
                await self._send("session.updated", session=self._log.session)
            elif event["type"] == "input_audio_buffer.append":
                await self._append(b64decode(event["audio"], validate=True))
            elif event["type"] == "input_audio_buffer.commit":
                await self._commit()
            else:
                raise Refused(0, f"Invalid value: '{event['type']}'.", "invalid_value", param="type")
        except Refused as refused:
            self._log.errors.append(refused.message)
            await self._send("error", error=refused.body)

    def _configure(self, session: dict[str, Any]) -> None:
        sound = session["audio"]["input"]
        where = "session.audio.input"
        if session.get("type") != "transcription":
            raise Refused(0, "Passing a realtime session update event to a transcription session is not allowed.")
        kind, transcription = sound["format"], sound["transcription"]
        self._rate, self._width = rules.INPUT_FORMATS.get(kind["type"], (0, 0))
        if not self._rate or kind.get("rate", self._rate) != self._rate:
            raise Refused(0, f"Invalid value: {kind}.", "invalid_value", param=f"{where}.format")
        model = rules.check_model(transcription.get("model"), rules.REALTIME_MODELS, f"{where}.transcription.model")
        rules.check_language(transcription.get("language"), f"{where}.transcription.language")
        if model in rules.LIVE_MODELS and sound.get("turn_detection") is not None:
            raise Refused(0, f"{model} has no turn detection.", "invalid_value", param=f"{where}.turn_detection")
        self._log.session = session

    @property
    def _live(self) -> bool:
        return self._log.session["audio"]["input"]["transcription"]["model"] in rules.LIVE_MODELS

    @property
    def _item(self) -> str:
        return f"item_{self._log.number}_{len(self._log.turns)}"

    async def _append(self, sound: bytes) -> None:
        if not self._rate:
            raise Refused(0, "Audio before the session was configured.")
        if len(sound) > rules.MAX_APPEND:
            raise Refused(0, "Audio of an event is too long.", "invalid_value")
        seconds = len(sound) / self._width / self._rate
        self._buffered += seconds
        self._log.seconds += seconds
        for word in self.reader.read(sound):
            if self._live:
                await self._send(
                    f"{TRANSCRIPTION}delta", item_id=self._item, delta=f" {word.text}" * bool(self._words) or word.text
                )
            self._words.append(word.text)

    async def _commit(self) -> None:
        if self._buffered < rules.MIN_SECONDS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {self._buffered * 1000:.2f}ms of audio."
            )
            raise Refused(0, message, "input_audio_buffer_commit_empty")
        item, turn = self._item, len(self._log.turns)
        transcription = self._log.session["audio"]["input"]["transcription"]
        text = " ".join(self._words) or transcription.get("prompt", "")
        self._words, self._buffered = [], 0.0
        self._log.turns.append(text)
        self._log.broken += self.reader.broken
        self.reader = WordReader()
        await self._send("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        if self._fault == "drop":
            self._connection.transport.abort()
            return
        if self._fault == "failed":
            error = {"type": "server_error", "code": None, "message": "The turn cannot be transcribed.", "param": None}
            await self._send(f"{TRANSCRIPTION}failed", item_id=item, content_index=0, error=error)
            return
        if not self._live:
            await self._send(f"{TRANSCRIPTION}delta", item_id=item, delta=text)
        completed = {"item_id": item, "content_index": 0, "transcript": text}
        if self._late(turn):
            self._held.append(completed)
            return
        for each in (completed, *self._held):
            await self._send(f"{TRANSCRIPTION}completed", **each)
        self._held.clear()

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._connection.send(json.dumps({"type": kind, "event_id": f"event_{id(fields):x}", **fields}))
