"""Limits and errors of OpenAI's API, as documented and as its clients meet them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

KEY = "sk-fake-0123456789"
FILE_MODELS = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe")
LIVE_MODELS = ("gpt-live-transcribe",)  # without turn detection
REALTIME_MODELS = (*LIVE_MODELS, "whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
MAX_FILE = 25 * 1024 * 1024  # bytes
FORMATS = ("flac", "m4a", "mp3", "mp4", "mpeg", "mpga", "oga", "ogg", "wav", "webm")
MIN_SECONDS = 0.1
MAX_SECONDS = 1500.0  # of a file, for the gpt-4o models
MAX_APPEND = 15 * 1024 * 1024  # bytes of audio in one event
MAX_SESSION = 3600.0  # seconds
INPUT_FORMATS = {"audio/pcm": (24000, 2), "audio/pcmu": (8000, 1), "audio/pcma": (8000, 1)}  # rate, bytes of a sample
LANGUAGE = re.compile(r"[a-z]{2,3}")


@dataclass
class Refused(Exception):
    """An error: its HTTP status, or 0 in a session, and OpenAI's error object."""

    status: int
    message: str
    code: str | None = None
    type: str = "invalid_request_error"
    headers: dict[str, str] = field(default_factory=dict)
    param: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """Return the object that clients get."""
        return {"message": self.message, "type": self.type, "param": self.param, "code": self.code}


def check_key(authorization: str | None, key: str) -> None:
    """Raises `Refused`."""
    if not authorization:
        raise Refused(401, "You didn't provide an API key.", None)
    given = authorization.removeprefix("Bearer ")
    if given != key:
        raise Refused(401, f"Incorrect API key provided: {given[:8]}***{given[-4:]}.", "invalid_api_key")


def check_model(model: str | None, known: tuple[str, ...], param: str = "model") -> str:
    """Return the model. Raises `Refused`."""
    if not model:
        raise Refused(400, "you must provide a model parameter", param=param)
    if model not in known:
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise Refused(404, message, "model_not_found", param=param)
    return model


def check_language(language: str | None, param: str = "language") -> None:
    """Raises `Refused`."""
    if language and not LANGUAGE.fullmatch(language):
        message = f"Language '{language}' is not an ISO-639-1 code."
        raise Refused(400, message, "invalid_language_format", param=param)


def too_many(retry_after: float) -> Refused:
    """Return the error of a rate limit."""
    return Refused(
        429, "Rate limit reached for requests.", "rate_limit_exceeded", "requests", {"Retry-After": f"{retry_after:g}"}
    )
