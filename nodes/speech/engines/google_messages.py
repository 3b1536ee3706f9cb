"""What is said to Google and what comes back, in v1 and v2 of its API: requests, results, and what an error means.

Messages are made of the client library's own types. Those it wraps for comfort cost four times as much as the bare ones
inside; requests of audio and results, of which there are many, are therefore used bare.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import groupby
from typing import Any, ClassVar

from flowcore import Encoding, Word
from flowcore.speech import Expired, OverQuota, Rejected, Result, StreamError, Unavailable

TOO_FAST = "streamed too fast"
SIGN_IN_REFUSED = "invalid_grant"  # of OAuth 2 (RFC 6749): the key was revoked, or this machine's clock is wrong
HOPELESS = {
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "NOT_FOUND",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "UNIMPLEMENTED",
    "ALREADY_EXISTS",
}


def error_for(code: str, text: str) -> StreamError:
    """What a status with the name ``code`` (https://grpc.io/docs/guides/status-codes) means for a stream."""
    told = f"Google: {code}: {text}"
    if code in HOPELESS or SIGN_IN_REFUSED in text:
        return Rejected(told)
    if code == "RESOURCE_EXHAUSTED":
        return OverQuota(told)
    if code == "ABORTED" or (code == "OUT_OF_RANGE" and TOO_FAST not in text):
        return Expired(told)
    return Unavailable(told)


class Version(ABC):
    """One version of the API; usable after `load`, which imports it."""

    number: ClassVar[int]
    max_stream: ClassVar[float]
    """Seconds: https://cloud.google.com/speech-to-text/quotas."""
    model: ClassVar[str]
    """The one for telephone calls."""
    other_languages: ClassVar[int]
    needs_project: ClassVar[bool]

    client: Any
    """The library's asynchronous client, a class."""

    _end: ClassVar[str]  # the name of a result's end, and of a word's start and end
    _word_start: ClassVar[str]
    _word_end: ClassVar[str]

    @abstractmethod
    def load(self) -> None:
        """Import the library: 0.4 s."""

    @abstractmethod
    def first(self, config: Any, project: str, encoding: Encoding, rate: int) -> Any:
        """The request that begins a stream of audio: all that is to be known about it."""

    @abstractmethod
    def audio(self, samples: bytes) -> Any:
        """A request with some of the audio."""

    def results(self, response: Any) -> Iterator[Result]:
        """The results in a response. An interim text comes in pieces, the steady ones first: here it is one."""
        bare = type(response).pb(response)
        for final, pieces in groupby((piece for piece in bare.results if piece.alternatives), lambda r: r.is_final):
            if final:
                yield from (self._final(piece) for piece in pieces)
            else:
                yield self._interim(list(pieces))

    def failure(self, response: Any) -> StreamError | None:
        """The error that a response itself tells of."""
        return None

    def _final(self, piece: Any) -> Result:
        best = piece.alternatives[0]
        words = tuple(
            Word(word.word, _seconds(getattr(word, self._word_start)), _seconds(getattr(word, self._word_end)))
            for word in best.words
        )
        # Proto3 cannot tell a confidence of 0 from none.
        return Result(
            best.transcript.strip(),
            final=True,
            end=_seconds(getattr(piece, self._end)),
            words=words,
            confidence=round(best.confidence, 3) or None,
        )

    def _interim(self, pieces: list[Any]) -> Result:
        return Result(
            " ".join(filter(None, (piece.alternatives[0].transcript.strip() for piece in pieces))),
            final=False,
            end=max(_seconds(getattr(piece, self._end)) for piece in pieces),
            confidence=round(min(piece.stability for piece in pieces), 3),
        )


class V2(Version):
    """Recognizers, regional models; every request names a project."""

    number = 2
    max_stream = 300
    model = "telephony"
    other_languages = 2
    needs_project = True
    _end, _word_start, _word_end = "result_end_offset", "start_offset", "end_offset"

    def load(self) -> None:
        from google.cloud.speech_v2 import SpeechAsyncClient
        from google.cloud.speech_v2.types import cloud_speech

        self.client = SpeechAsyncClient
        self._request = cloud_speech.StreamingRecognizeRequest
        self._bare = self._request.pb()

    def first(self, config: Any, project: str, encoding: Encoding, rate: int) -> Any:
        return self._request(
            recognizer=f"projects/{project}/locations/{config.location}/recognizers/{config.recognizer}",
            streaming_config={
                "config": {
                    "explicit_decoding_config": {
                        "encoding": _NAMES[encoding],
                        "sample_rate_hertz": rate,
                        "audio_channel_count": 1,
                    },
                    "model": config.model or self.model,
                    "language_codes": [config.language, *config.other_languages],
                    "features": {
                        "enable_word_time_offsets": True,
                        "enable_automatic_punctuation": config.punctuation,
                    },
                    "adaptation": {"phrase_sets": [{"inline_phrase_set": {"phrases": _phrases(config)}}]}
                    if config.phrases
                    else None,
                },
                "streaming_features": {"interim_results": True},
            },
        )

    def audio(self, samples: bytes) -> Any:
        return self._request.wrap(self._bare(audio=samples))


class V1(Version):
    """The older API, which knows neither recognizers nor projects."""

    number = 1
    max_stream = 305
    model = "phone_call"
    other_languages = 3
    needs_project = False
    _end, _word_start, _word_end = "result_end_time", "start_time", "end_time"

    def load(self) -> None:
        from google.cloud.speech_v1 import SpeechAsyncClient
        from google.cloud.speech_v1.types import cloud_speech

        self.client = SpeechAsyncClient
        self._request = cloud_speech.StreamingRecognizeRequest
        self._bare = self._request.pb()

    def first(self, config: Any, project: str, encoding: Encoding, rate: int) -> Any:
        return self._request(
            streaming_config={
                "config": {
                    "encoding": _NAMES[encoding],
                    "sample_rate_hertz": rate,
                    "audio_channel_count": 1,
                    "model": config.model or self.model,
                    "language_code": config.language,
                    "alternative_language_codes": list(config.other_languages),
                    "enable_word_time_offsets": True,
                    "enable_automatic_punctuation": config.punctuation,
                    "speech_contexts": [{"phrases": list(config.phrases), "boost": config.boost}]
                    if config.phrases
                    else [],
                },
                "interim_results": True,
            },
        )

    def audio(self, samples: bytes) -> Any:
        return self._request.wrap(self._bare(audio_content=samples))

    def failure(self, response: Any) -> StreamError | None:
        error = type(response).pb(response).error
        if not error.code:
            return None
        from google.rpc.code_pb2 import Code

        return error_for(Code.Name(error.code), error.message)


VERSIONS: dict[int, type[Version]] = {1: V1, 2: V2}
_NAMES: dict[Encoding, str] = {"mulaw": "MULAW", "s16": "LINEAR16"}


def _phrases(config: Any) -> list[dict[str, Any]]:
    return [{"value": phrase, "boost": config.boost} for phrase in config.phrases]


def _seconds(duration: Any) -> float:
    return float(duration.seconds + duration.nanos / 1e9)
