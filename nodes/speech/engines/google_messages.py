"""Requests, results and errors of Google's API in v1 and v2.

The messages are the client library's own types. Its convenience wrappers cost four times as much as the bare protobuf
messages inside, so this module uses the bare ones for audio requests and results, which are many.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, ClassVar

from flowcore import Encoding, Word
from flowcore.speech import Expired, OverQuota, Rejected, Result, StreamError, Unavailable

TOO_FAST = "streamed too fast"
SIGN_IN_REFUSED = "invalid_grant"  # OAuth 2 (RFC 6749): the key was revoked, or this machine's clock is wrong
REJECTED_CODES = {
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "UNIMPLEMENTED",
    "ALREADY_EXISTS",
}


def error_for(code: str, text: str) -> StreamError:
    """Return the error for a stream that ended with status ``code`` (https://grpc.io/docs/guides/status-codes)."""
    message = f"Google: {code}: {text}"
    if code in REJECTED_CODES or SIGN_IN_REFUSED in text:
        return Rejected(message)
    if code == "RESOURCE_EXHAUSTED":
        return OverQuota(message)
    if code == "ABORTED" or (code == "OUT_OF_RANGE" and TOO_FAST not in text):
        return Expired(message)
    return Unavailable(message)


class ApiVersion(ABC):
    """One version of the API; `load` imports its library first."""

    number: ClassVar[int]
    max_stream: ClassVar[float]
    """Seconds: https://cloud.google.com/speech-to-text/quotas."""
    model: ClassVar[str]
    """The model for telephone calls."""
    other_languages: ClassVar[int]
    needs_project: ClassVar[bool]

    client: Any
    """The library's class of asynchronous clients."""

    _audio: ClassVar[str]  # names of fields: audio of a request, end of a result, start and end of a word
    _end: ClassVar[str]
    _word_start: ClassVar[str]
    _word_end: ClassVar[str]

    def load(self) -> None:
        """Import the library, which takes 0.4 s."""
        library = importlib.import_module(f"google.cloud.speech_v{self.number}")
        self.client = library.SpeechAsyncClient
        self._request = library.StreamingRecognizeRequest
        self._bare = self._request.pb()

    @abstractmethod
    def initial_request(self, config: Any, project: str, encoding: Encoding, rate: int, phrases: Sequence[str]) -> Any:
        """Make the first request of a stream, with its whole configuration."""

    def audio_request(self, samples: bytes) -> Any:
        """Make a request with audio."""
        return self._request.wrap(self._bare(**{self._audio: samples}))

    def results(self, response: Any) -> Iterator[Result]:
        """Yield the results in a response. Google sends an interim text in pieces, which this method joins."""
        bare = type(response).pb(response)
        for final, pieces in groupby((piece for piece in bare.results if piece.alternatives), lambda r: r.is_final):
            if final:
                yield from (self._final(piece) for piece in pieces)
            else:
                yield self._interim(list(pieces))

    def response_error(self, response: Any) -> StreamError | None:
        """Return the error inside a response; None if there is none."""
        return None

    def _final(self, piece: Any) -> Result:
        best = piece.alternatives[0]
        words = tuple(
            Word(word.word, _seconds(getattr(word, self._word_start)), _seconds(getattr(word, self._word_end)))
            for word in best.words
        )
        confidence = round(best.confidence, 3) or None  # proto3 cannot distinguish a confidence of 0 from none
        end = _seconds(getattr(piece, self._end))
        return Result(best.transcript.strip(), final=True, end=end, words=words, confidence=confidence)

    def _interim(self, pieces: list[Any]) -> Result:
        return Result(
            " ".join(filter(None, (piece.alternatives[0].transcript.strip() for piece in pieces))),
            final=False,
            end=max(_seconds(getattr(piece, self._end)) for piece in pieces),
            confidence=round(min(piece.stability for piece in pieces), 3),
        )


class V2(ApiVersion):
    """Version 2: recognizers and regional models; every request names a project."""

    number = 2
    max_stream = 300
    model = "telephony"
    other_languages = 2
    needs_project = True
    _audio, _end, _word_start, _word_end = "audio", "result_end_offset", "start_offset", "end_offset"

    def initial_request(self, config: Any, project: str, encoding: Encoding, rate: int, phrases: Sequence[str]) -> Any:
        preferred = [{"value": phrase, "boost": config.boost} for phrase in phrases]
        recognition = {
            "explicit_decoding_config": _sound(encoding, rate),
            "model": config.model or self.model,
            "language_codes": [config.language, *config.other_languages],
            "features": _features(config),
            "adaptation": {"phrase_sets": [{"inline_phrase_set": {"phrases": preferred}}]} if phrases else None,
        }
        return self._request(
            recognizer=f"projects/{project}/locations/{config.location}/recognizers/{config.recognizer}",
            streaming_config={"config": recognition, "streaming_features": {"interim_results": True}},
        )


class V1(ApiVersion):
    """Version 1, without recognizers and projects."""

    number = 1
    max_stream = 305
    model = "phone_call"
    other_languages = 3
    needs_project = False
    _audio, _end, _word_start, _word_end = "audio_content", "result_end_time", "start_time", "end_time"

    def initial_request(self, config: Any, project: str, encoding: Encoding, rate: int, phrases: Sequence[str]) -> Any:
        recognition = {
            **_sound(encoding, rate),
            **_features(config),
            "model": config.model or self.model,
            "language_code": config.language,
            "alternative_language_codes": config.other_languages,
            "speech_contexts": [{"phrases": phrases, "boost": config.boost}] if phrases else [],
        }
        return self._request(streaming_config={"config": recognition, "interim_results": True})

    def response_error(self, response: Any) -> StreamError | None:
        error = type(response).pb(response).error
        if not error.code:
            return None
        from google.rpc.code_pb2 import Code

        return error_for(Code.Name(error.code), error.message)


VERSIONS: dict[int, type[ApiVersion]] = {1: V1, 2: V2}


def _sound(encoding: Encoding, rate: int) -> dict[str, Any]:
    name = "MULAW" if encoding == "mulaw" else "LINEAR16"
    return {"encoding": name, "sample_rate_hertz": rate, "audio_channel_count": 1}


def _features(config: Any) -> dict[str, bool]:
    return {"enable_word_time_offsets": True, "enable_automatic_punctuation": config.punctuation}


def _seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)
