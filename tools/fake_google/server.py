"""gRPC server around `rules` and `stream`: StreamingRecognize of v1 and v2, with the client library's message types.

google-cloud-speech has no base class for servers, so the methods are registered by their paths.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import grpc
from google.cloud.speech_v1.types import cloud_speech as v1
from google.cloud.speech_v2.types import cloud_speech as v2

from .rules import EXHAUSTED, LIMITS, Limits, Refused, Rules
from .stream import Recogniser, Result, StreamFaults, StreamLog
from .words import RATE

CHECK_INTERVAL = 0.01
"""Seconds of real time between two checks of the streams' ages."""
STABLE, UNSTABLE = 0.9, 0.1

SERVICES = {1: ("google.cloud.speech.v1.Speech", v1), 2: ("google.cloud.speech.v2.Speech", v2)}


class FakeGoogle:
    """Service in its own thread, for the length of a ``with`` block, at ``address``; ``streams`` logs each stream.

    ``clock`` returns the seconds against which limits are measured: real time, ``speed`` times as fast, or a clock of
    the test. ``quota`` streams may be open at once, ``connection`` streams of one connection are served at once. The
    last words take ``drain`` seconds after the end of the audio. ``certificate`` is a key and a chain in PEM: with it
    the service speaks TLS only, and clients must send an ``authorization``.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        speed: float = 1.0,
        clock: Callable[[], float] | None = None,
        limits: dict[int, Limits] | None = None,
        quota: int | None = None,
        connection: int = 100,
        fault: StreamFaults = lambda number: None,
        drain: float = 0.0,
        certificate: tuple[bytes, bytes] | None = None,
    ) -> None:
        self.streams: list[StreamLog] = []
        self.address = ""
        self.peak = 0
        """Maximum of the streams that were open at once."""
        self.fault = fault
        self.limits = {**LIMITS, **(limits or {})}
        self.quota = quota
        self.clock = clock or (lambda: time.monotonic() * speed)
        self._port = port
        self._options = [("grpc.max_concurrent_streams", connection), ("grpc.so_reuseport", 0)]
        self._drain = drain
        self._certificate = certificate
        self._open: dict[StreamLog, tuple[Rules, asyncio.Future[None]]] = {}
        self._listening: Future[str] = Future()
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="fake-google", daemon=True)

    @property
    def live(self) -> int:
        """Return the number of open streams."""
        return len(self._open)

    def __enter__(self) -> Self:
        self._thread.start()
        self.address = self._listening.result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def turn(self) -> None:
        """Wait for one turn of the event loop, for clocks that must not run ahead of it on a busy machine."""
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = grpc.aio.server(options=self._options)
        for version, (service, types) in SERVICES.items():
            method = grpc.stream_stream_rpc_method_handler(
                self._handler(version),
                request_deserializer=types.StreamingRecognizeRequest.deserialize,
                response_serializer=types.StreamingRecognizeResponse.serialize,
            )
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(service, {"StreamingRecognize": method}),)
            )
        host = f"127.0.0.1:{self._port}"
        try:
            if self._certificate is None:
                port = server.add_insecure_port(host)
            else:
                port = server.add_secure_port(host, grpc.ssl_server_credentials([self._certificate]))
            await server.start()
        except BaseException as error:  # passed on to the thread that waits for the address
            self._listening.set_exception(error)
            return
        self._listening.set_result(f"127.0.0.1:{port}")
        while not self._stopped.is_set():
            self._check()
            await asyncio.sleep(CHECK_INTERVAL)
        await server.stop(grace=None)

    def _check(self) -> None:
        """End the streams that have reached a limit."""
        now = self.clock()
        for log, (rules, over) in tuple(self._open.items()):
            try:
                rules.check(now, half_closed=log.half_closed)
            except Refused as refused:
                if not over.done():
                    over.set_exception(refused)

    def _handler(self, version: int) -> Callable[[Any, Any], Any]:
        async def handler(_: Any, context: Any) -> None:
            log = StreamLog(len(self.streams), version, self.clock())
            log.metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            log.metadata["peer"] = context.peer()
            self.streams.append(log)
            over = asyncio.get_running_loop().create_future()
            rules = Rules(version, self.limits[version], log.opened)
            self._open[log] = (rules, over)
            self.peak = max(self.peak, len(self._open))
            work = asyncio.ensure_future(self._serve(version, log, rules, context))
            outcome = Refused("CANCELLED", "")
            try:
                await asyncio.wait((work, over), return_when=asyncio.FIRST_COMPLETED)
                error = over.exception() if over.done() else work.exception()
                if isinstance(error, Refused):
                    outcome = error
                    work.cancel()
                    await context.abort(grpc.StatusCode[error.code], error.text)
                elif error is not None:
                    raise error
                outcome = Refused("OK", "")
            except asyncio.CancelledError:
                pass  # the client cancelled, or the server ends: gRPC answers
            finally:
                log.outcome = outcome.code
                log.closed = self.clock()
                work.cancel()
                over.cancel()
                if over.done() and not over.cancelled():
                    over.exception()
                with contextlib.suppress(asyncio.CancelledError, Refused, grpc.aio.BaseError):
                    await work
                del self._open[log]

        return handler

    async def _serve(self, version: int, log: StreamLog, rules: Rules, context: Any) -> None:
        if self._certificate is not None and not log.metadata.get("authorization", "").startswith("Bearer "):
            raise Refused("UNAUTHENTICATED", "Request is missing required authentication credential.")
        if self.quota is not None and len(self._open) > self.quota:
            raise Refused("RESOURCE_EXHAUSTED", EXHAUSTED)
        fault = self.fault(log.number)
        first = await context.read()
        if first is grpc.aio.EOF:
            raise Refused("INVALID_ARGUMENT", "No configuration came before the end of the stream.")
        log.config = (_config_v1 if version == 1 else _config_v2)(first)
        width = 1 if log.config["encoding"] == "mulaw" else 2
        recogniser = Recogniser()
        while True:
            if fault is not None and log.seconds >= fault.after:
                if fault.kind == "hang":
                    await asyncio.get_running_loop().create_future()
                elif fault.kind != "silent":
                    raise Refused(fault.kind, fault.text)
            request = await context.read()
            if request is grpc.aio.EOF:
                break
            if request.streaming_config or not (audio := _audio(version, request)):
                raise Refused("INVALID_ARGUMENT", "Only the first request may hold a configuration; others hold audio.")
            rules.audio(self.clock(), len(audio), len(audio) / width / log.config["rate"])
            log.requests += 1
            log.largest = max(log.largest, len(audio))
            log.samples += len(audio) // width
            await self._say(version, log, context, recogniser.read(_codes(audio, width)), fault)
            log.broken = recogniser.reader.broken
        log.half_closed = True
        drained = self.clock() + self._drain
        while self.clock() < drained:  # noqa: ASYNC110  # a test may advance the clock by hand
            await asyncio.sleep(CHECK_INTERVAL)
        await self._say(version, log, context, recogniser.end(), fault)

    async def _say(self, version: int, log: StreamLog, context: Any, results: Iterable[Result], fault: Any) -> None:
        for result in results:
            if fault is not None and fault.kind == "silent":
                continue
            if result.final:
                log.words.extend(result.words)
            if result.final or log.config["interim"]:
                await context.write(_response(version, result, log.config))


def _config_v1(request: Any) -> dict[str, Any]:
    config = request.streaming_config.config
    if not request.streaming_config:
        raise Refused("INVALID_ARGUMENT", "Invalid 'streaming_config': the first request must hold it.")
    return _checked(
        config.encoding.name,
        config.sample_rate_hertz,
        language=[config.language_code, *config.alternative_language_codes],
        model=config.model,
        phrases=[phrase for context in config.speech_contexts for phrase in context.phrases],
        alternatives=config.max_alternatives,
        times=config.enable_word_time_offsets,
        interim=request.streaming_config.interim_results,
        punctuation=config.enable_automatic_punctuation,
    )


def _config_v2(request: Any) -> dict[str, Any]:
    config = request.streaming_config.config
    if not request.streaming_config or not request.recognizer:
        raise Refused("INVALID_ARGUMENT", "The first request must hold a recognizer and a streaming_config.")
    decoding = config.explicit_decoding_config
    return _checked(
        decoding.encoding.name,
        decoding.sample_rate_hertz,
        recognizer=request.recognizer,
        language=list(config.language_codes),
        model=config.model,
        phrases=[phrase.value for s in config.adaptation.phrase_sets for phrase in s.inline_phrase_set.phrases],
        alternatives=config.features.max_alternatives,
        times=config.features.enable_word_time_offsets,
        interim=request.streaming_config.streaming_features.interim_results,
        punctuation=config.features.enable_automatic_punctuation,
    )


def _checked(encoding: str, rate: int, **config: Any) -> dict[str, Any]:
    known = {"MULAW": "mulaw", "LINEAR16": "s16"}
    if encoding not in known or not 8000 <= rate <= 48000:
        raise Refused("INVALID_ARGUMENT", f"Encoding {encoding} at {rate} Hz is not supported here.")
    if not config["language"] or not config["language"][0]:
        raise Refused("INVALID_ARGUMENT", "Invalid recognition 'config': language is missing.")
    return {"encoding": known[encoding], "rate": rate, **config}


def _audio(version: int, request: Any) -> bytes:
    return bytes(request.audio_content if version == 1 else request.audio)


def _codes(audio: bytes, width: int) -> bytes:
    """Convert audio to mu-law, the encoding of words."""
    if width == 1:
        return audio
    import numpy as np

    from nodes.audio import g711

    return g711.encode(np.frombuffer(audio, "<i2")).tobytes()


def _response(version: int, result: Result, config: dict[str, Any]) -> Any:
    """Build a response as Google does.

    An interim text comes in two results, of which the last word is unstable. Only final texts carry times.
    """
    types = SERVICES[version][1]
    texts = [word.text for word in result.words]
    parts = [texts] if result.final or len(texts) == 1 else [texts[:-1], [" " + texts[-1]]]
    results = []
    for part in parts:
        alternatives = [{"transcript": " ".join(part)}]
        if result.final:
            alternatives[0] |= {"confidence": 0.9}
            if config["times"]:
                alternatives[0] |= {"words": [_word(version, word) for word in result.words]}
            alternatives += [
                {"transcript": " ".join(part) + f" ({number})", "confidence": 0.9 - number / 10}
                for number in range(1, min(config["alternatives"] or 1, 3))
            ]
        ended = timedelta(seconds=result.end)
        results.append(
            types.StreamingRecognitionResult(
                alternatives=alternatives,
                is_final=result.final,
                stability=0.0 if result.final else (STABLE if part is parts[0] and len(parts) > 1 else UNSTABLE),
                language_code=config["language"][0].lower(),
                **({"result_end_time": ended} if version == 1 else {"result_end_offset": ended}),
            )
        )
    return types.StreamingRecognizeResponse(results=results)


def _word(version: int, word: Any) -> dict[str, Any]:
    start, end = timedelta(seconds=word.start / RATE), timedelta(seconds=word.end / RATE)
    times = {"start_time": start, "end_time": end} if version == 1 else {"start_offset": start, "end_offset": end}
    return {"word": word.text, **times}
