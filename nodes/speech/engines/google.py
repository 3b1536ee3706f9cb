"""Google Cloud Speech-to-Text, v2 or v1, with telephone audio as it came and results while it is spoken.

One thread with one event loop drives all streams of a process. A connection carries about a hundred streams; more of
them wait or fail unpredictably, so the engine opens connections as it needs them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from flowcore import CannotStart, Config, Encoding, Extra, LocalPath
from flowcore.addresses import is_loopback
from flowcore.audio import SAMPLE_BYTES
from flowcore.speech import Limits, Listener, Stream, Streamer
from nodes.speech.engines.google_messages import VERSIONS
from nodes.speech.engines.google_streams import GoogleClient, GoogleStream

HOST = "speech.googleapis.com"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
STREAMS_PER_CONNECTION = 90  # measured: Google serves up to 100 at once; more wait for others to end, or fail
CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # else all channels of a process share one connection
    ("grpc.keepalive_time_ms", 30_000),  # detects a network that drops everything
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # the default of 2 min is longer than the audio kept for sending again
)
FORMATS: tuple[tuple[Encoding, int], ...] = (("mulaw", 8000), ("s16", 16000), ("s16", 8000))
SIGN_IN_ADVICE = (
    "name a service account's key file as credentials or in GOOGLE_APPLICATION_CREDENTIALS, "
    "or run  gcloud auth application-default login"
)
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def _language(tag: str) -> str:
    if not LANGUAGE.fullmatch(tag):
        raise ValueError(f"{tag!r} is no language tag: write it like de-DE")
    return tag


Language = Annotated[str, AfterValidator(_language)]


class GoogleConfig(Config):
    """The account, the model, and the expected speech."""

    credentials: LocalPath = LocalPath("")
    """Path of a key file; empty for Application Default Credentials, which the ``gcloud`` command sets up."""

    project: str = ""
    """The Google Cloud project that pays (v2); empty for the project of the credentials."""

    version: Literal[2, 1] = 2
    """Version of the API."""

    language: Language = "en-US"
    """The spoken language as a BCP-47 tag."""

    other_languages: Annotated[tuple[Language, ...], Field(max_length=3)] = ()
    """Other languages that may be spoken; Google chooses the most likely one. Up to 2 with v2, 3 with v1."""

    model: str = ""
    """The model; empty for the one for telephone calls: ``telephony`` (v2) or ``phone_call`` (v1)."""

    boost: Annotated[float, Field(ge=0, le=20)] = 10.0
    """Strength of the preference for ``phrases`` of `transcribe`."""

    punctuation: bool = True
    """Write commas, full stops and capitals."""

    location: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = "global"
    """Region that processes the audio, such as ``eu``, ``us`` or ``europe-west4``."""

    recognizer: str = "_"
    """A recognizer of the project (v2); ``_`` for none: then the rest of this config counts."""

    endpoint: str = ""
    """Host and port of the service; empty for Google's own at the ``location``."""

    plaintext: bool = False
    """Connect to ``endpoint`` without encryption or credentials: for a test server on this machine only."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.plaintext and not is_loopback(self.endpoint.rpartition(":")[0].strip("[]")):
            raise ValueError("plaintext is for an endpoint on this machine only, such as 127.0.0.1:8700")
        if len(self.other_languages) > VERSIONS[self.version].other_languages:
            raise ValueError(f"v{self.version} takes {VERSIONS[self.version].other_languages} other_languages")
        return self


class Google(Streamer[GoogleConfig]):
    """Google Cloud Speech-to-Text; docs/speech-google.md has its prices and how to sign in."""

    REQUIRES: ClassVar = (Extra("google.cloud.speech_v2", "google"),)
    takes_phrases = True
    limits: Limits

    def __init__(self, config: GoogleConfig | None = None) -> None:
        super().__init__(config)
        self._version = VERSIONS[self.config.version]()
        self.limits = Limits(FORMATS, self._version.max_stream, idle=10, streams=STREAMS_PER_CONNECTION)
        self._credentials: Any = None
        self._project = ""
        self._client: GoogleClient | None = None

    def open(self) -> None:
        config = self.config
        self._version.load()
        if config.plaintext:
            self._project = config.project or "local"
        else:
            self._credentials, found = sign_in(config.credentials)
            self._project = config.project or found
        if self._version.needs_project and not self._project:
            raise CannotStart("the credentials belong to no project: name the one that pays", field="engine.project")
        self._client = GoogleClient(self._connect, STREAMS_PER_CONNECTION)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def stream(self, encoding: Encoding, rate: int, listener: Listener, phrases: Sequence[str] = ()) -> Stream:
        assert self._client is not None, "the engine is not open"  # noqa: S101
        begin = self._version.initial_request(self.config, self._project, encoding, rate, phrases)
        return GoogleStream(self._client, self._version, begin, rate * SAMPLE_BYTES[encoding], listener)

    @property
    def address(self) -> str:
        """Host of the service, with the port if the config has one."""
        region = "" if self.config.location == "global" else f"{self.config.location}-"
        return self.config.endpoint or f"{region}{HOST}"

    def _connect(self) -> Any:
        """Make one of the library's clients, with its own connection."""
        import grpc.aio

        client = self._version.client
        transport = client.get_transport_class("grpc_asyncio")
        if self.config.plaintext:
            channel = grpc.aio.insecure_channel(self.address, options=CHANNEL_OPTIONS)
        else:
            channel = transport.create_channel(self.address, credentials=self._credentials, options=CHANNEL_OPTIONS)
        return client(transport=transport(channel=channel))


def sign_in(path: str) -> tuple[Any, str]:
    """Return the credentials of a key file, or those of the environment, and their project. Raises `CannotStart`.

    Google checks them only when the first stream begins.
    """
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    key_file: Any = service_account.Credentials
    try:
        if path:
            credentials = key_file.from_service_account_file(Path(path).expanduser(), scopes=SCOPES)
            project = credentials.project_id
        else:
            credentials, project = google.auth.default(scopes=SCOPES)
    except OSError as error:
        raise CannotStart(f"cannot read {path}: {error.strerror}", field="engine.credentials") from error
    except (GoogleAuthError, ValueError, AttributeError) as error:  # AttributeError: JSON, but not an object
        what = f"{path} is not a key file of a service account" if path else "there are no credentials for Google"
        raise CannotStart(f"{what}: {SIGN_IN_ADVICE}", field="engine.credentials") from error
    if isinstance(credentials, key_file):  # a key signs its own tokens: no request needed
        credentials = credentials.with_always_use_jwt_access(True)
    return credentials, project or ""
