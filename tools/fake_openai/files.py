"""``POST /v1/audio/transcriptions`` over real HTTP on this machine."""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time
import wave
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from . import rules
from .rules import KEY, Refused

MINUTE = 60.0
Recognise = Callable[[NDArray[np.int16]], str]


@dataclass(frozen=True)
class Request:
    """A request that was answered with words: its fields, and the audio, s16."""

    fields: dict[str, str]
    samples: NDArray[np.int16]
    rate: int


class FileService:
    """The service in threads of its own, for the length of a ``with`` block, at ``url``.

    ``recognise`` turns audio into words; audio that is silence has none, for which the models give back their prompt.
    ``per_minute`` requests are answered in a minute of ``clock``, which gives seconds. ``faults`` are answers that come
    first: a `Refused`, or a function that is called with the handler and answers in its place.
    """

    def __init__(
        self,
        recognise: Recognise,
        *,
        port: int = 0,
        key: str = KEY,
        per_minute: int = 500,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.requests: list[Request] = []
        self.attempts = 0
        self.faults: deque[Refused | Callable[[BaseHTTPRequestHandler], None]] = deque()
        self._recognise = recognise
        self._key = key
        self._per_minute = per_minute
        self._clock = clock
        self._times: deque[float] = deque()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake-openai")
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with service._lock:
                    service.attempts += 1
                    fault = service.faults.popleft() if service.faults else None
                try:
                    if callable(fault):
                        fault(self)
                        return
                    if fault is not None:
                        raise fault
                    self._send(200, service._answer(self, body))
                except Refused as refused:
                    self._send(refused.status, {"error": refused.body}, refused.headers)

            def _send(self, status: int, body: Any, headers: Mapping[str, str] = {}) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                for name, value in headers.items():
                    self.send_header(name, value)
                with contextlib.suppress(ConnectionError):  # the client waits no more
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> dict[str, Any]:
        rules.check_key(handler.headers["Authorization"], self._key)
        if handler.path != "/v1/audio/transcriptions":
            raise Refused(404, f"Invalid URL (POST {handler.path})")
        self._count()
        if len(body) > rules.MAX_FILE:
            raise Refused(413, f"Maximum content size limit ({rules.MAX_FILE}) exceeded ({len(body)} bytes read)")
        fields, name, content = _form(handler.headers["Content-Type"], body)
        model = rules.check_model(fields.get("model"), rules.FILE_MODELS)
        rules.check_language(fields.get("language"))
        verbose = _verbose(fields, model)
        samples, rate = _audio(name, content)
        seconds = len(samples) / rate
        if seconds < rules.MIN_SECONDS:
            raise Refused(400, "Audio file is too short. Minimum audio length is 0.1 seconds.", "audio_too_short")
        if model.startswith("gpt-") and seconds > rules.MAX_SECONDS:
            raise Refused(400, f"audio duration {seconds:g} seconds is longer than {rules.MAX_SECONDS:g} seconds")
        text = self._recognise(samples) if samples.any() else fields.get("prompt", "")
        self.requests.append(Request(fields, samples, rate))
        if not verbose:
            return {"text": text, "usage": {"type": "duration", "seconds": round(seconds)}}
        each = seconds / max(1, len(text.split()))
        words = [{"word": word, "start": n * each, "end": (n + 1) * each} for n, word in enumerate(text.split())]
        return {"task": "transcribe", "language": "english", "duration": seconds, "text": text, "words": words}

    def _count(self) -> None:
        """Count a request of the last minute. Raises `Refused`."""
        with self._lock:
            now = self._clock()
            while self._times and self._times[0] <= now - MINUTE:
                self._times.popleft()
            if len(self._times) >= self._per_minute:
                raise rules.too_many(self._times[0] + MINUTE - now)
            self._times.append(now)


def _form(kind: str | None, body: bytes) -> tuple[dict[str, str], str, bytes]:
    """Return the fields of a form, and the name and content of its file. Raises `Refused`."""
    if not (kind or "").startswith("multipart/form-data"):
        raise Refused(400, "Unsupported content type: expected multipart/form-data")
    message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    fields, name, content = {}, "", b""
    for part in message.iter_parts():
        value = part.get_payload(decode=True)
        if part.get_filename():
            name, content = part.get_filename(), value
        else:
            fields[part.get_param("name", header="Content-Disposition")] = value.decode()
    return fields, name, content


def _verbose(fields: dict[str, str], model: str) -> bool:
    form = fields.get("response_format", "json")
    if model.startswith("gpt-") and form != "json":
        message = f"response_format '{form}' is not compatible with model '{model}'. Use 'json' or 'text' instead."
        raise Refused(400, message, "unsupported_value")
    if "timestamp_granularities[]" in fields and form != "verbose_json":
        raise Refused(400, "timestamp_granularities needs response_format 'verbose_json'")
    return form == "verbose_json"


def _audio(name: str, content: bytes) -> tuple[NDArray[np.int16], int]:
    """Return the samples and rate of a mono WAV file, the one format that this fake reads. Raises `Refused`."""
    wrong = Refused(400, f"Invalid file format. Supported formats: {list(rules.FORMATS)}")
    if name.rpartition(".")[2] not in rules.FORMATS:
        raise wrong
    try:
        with wave.open(io.BytesIO(content)) as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise wrong
            return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()
    except (wave.Error, EOFError):
        raise wrong from None
