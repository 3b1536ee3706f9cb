"""Google's speech recognition, v2 or v1: telephone audio goes out as it came, words come back while they are spoken.

One thread with one event loop drives all streams of a process. A connection carries about a hundred of them, beyond
which calls wait or fail unpredictably, so connections are opened as they are needed.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from flowcore import CannotStart, Config, Encoding, Extra
from flowcore.speech import Limits, Listener, Stream, Streamer
from nodes.speech.engines.google_messages import VERSIONS
from nodes.speech.engines.google_streams import Calls, GoogleStream

HOST = "speech.googleapis.com"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
PER_CONNECTION = 90
"""Streams on one connection. Measured: up to 100 are served at once; more wait for others to end, or fail."""
OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # else all channels of a process share one connection
    ("grpc.keepalive_time_ms", 30_000),  # so that a network that swallows everything is noticed
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # the default, 2 min, outlasts the audio that is kept to be sent again
)
FORMATS: tuple[tuple[Encoding, int], ...] = (("mulaw", 8000), ("s16", 16000), ("s16", 8000))
WIDTH: dict[Encoding, int] = {"mulaw": 1, "s16": 2}
"""Bytes of a sample."""
HOW_TO_SIGN_IN = (
    "name a service account's key file as credentials or in GOOGLE_APPLICATION_CREDENTIALS, "
    "or run  gcloud auth application-default login"
)


class GoogleConfig(Config):
    """Which account, which model, and what it should expect to hear."""

    credentials: str = ""
    """Path of a key file; empty: Application Default Credentials, as the ``gcloud`` command sets them up."""

    project: str = ""
    """The Google Cloud project that pays (v2); empty: the one that the credentials belong to."""

    version: Literal[2, 1] = 2
    """Of the API."""

    language: Annotated[str, Field(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$")] = "en-US"
    """What is spoken, as a BCP-47 tag."""

    other_languages: Annotated[tuple[str, ...], Field(max_length=3)] = ()
    """What may be spoken instead: the most likely one is chosen. Up to 2 with v2, 3 with v1."""

    model: str = ""
    """The model; empty: the one made for telephone calls, ``telephony`` (v2) or ``phone_call`` (v1)."""

    phrases: Annotated[tuple[str, ...], Field(max_length=500)] = ()
    """Words to expect: names, products, places. They are preferred over what sounds alike."""

    boost: Annotated[float, Field(ge=0, le=20)] = 10.0
    """How strongly ``phrases`` are preferred."""

    punctuation: bool = True
    """Write commas, full stops and capitals."""

    location: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] = "global"
    """Where audio is processed, such as ``eu``, ``us`` or ``europe-west4``."""

    recognizer: str = "_"
    """A recognizer that was made in the project (v2); ``_``: none, the rest of this config counts."""

    endpoint: str = ""
    """Host and port of the service; empty: Google's own for the ``location``."""

    plaintext: bool = False
    """Speak to ``endpoint`` without encryption and without credentials: for a test server on this machine only."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.plaintext and not _is_loopback(self.endpoint):
            raise ValueError("plaintext is for an endpoint on this machine only, such as 127.0.0.1:8700")
        if len(self.other_languages) > VERSIONS[self.version].other_languages:
            raise ValueError(f"v{self.version} takes {VERSIONS[self.version].other_languages} other_languages")
        return self


class Google(Streamer[GoogleConfig]):
    """Google Cloud Speech-to-Text; what it costs and how to sign in is in docs/speech-google.md."""

    REQUIRES: ClassVar = (Extra("google.cloud.speech_v2", "google"),)
    limits: Limits

    def __init__(self, config: GoogleConfig | None = None) -> None:
        super().__init__(config)
        self._version = VERSIONS[self.config.version]()
        self.limits = Limits(FORMATS, self._version.max_stream, idle=10, streams=PER_CONNECTION)
        self._credentials: Any = None
        self._project = ""
        self._calls: Calls | None = None

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
        self._calls = Calls(self._connect, PER_CONNECTION)

    def close(self) -> None:
        if self._calls is not None:
            self._calls.close()

    def stream(self, encoding: Encoding, rate: int, listener: Listener) -> Stream:
        assert self._calls is not None, "the engine is not open"  # noqa: S101
        begin = self._version.first(self.config, self._project, encoding, rate)
        return GoogleStream(self._calls, self._version, begin, rate * WIDTH[encoding], listener)

    @property
    def address(self) -> str:
        """Host of the service, with its port if it has one of its own."""
        region = "" if self.config.location == "global" else f"{self.config.location}-"
        return self.config.endpoint or f"{region}{HOST}"

    def _connect(self) -> Any:
        """A client with a connection of its own."""
        import grpc.aio

        client = self._version.client
        transport = client.get_transport_class("grpc_asyncio")
        if self.config.plaintext:
            channel = grpc.aio.insecure_channel(self.address, options=OPTIONS)
        else:
            channel = transport.create_channel(self.address, credentials=self._credentials, options=OPTIONS)
        return client(transport=transport(channel=channel))


def sign_in(path: str) -> tuple[Any, str]:
    """The credentials of a key file, or those that the environment has, and their project. Raises `CannotStart`.

    Google is not asked whether they are any good: that shows when the first stream begins.
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
    except (GoogleAuthError, ValueError, AttributeError) as error:  # the last: JSON, but no object
        what = f"{path} is no service account's key file" if path else "there are no credentials for Google"
        raise CannotStart(f"{what}: {HOW_TO_SIGN_IN}", field="engine.credentials") from error
    if isinstance(credentials, key_file):  # a key signs its own tokens: no request to get one
        credentials = credentials.with_always_use_jwt_access(True)
    return credentials, project or ""


def _is_loopback(endpoint: str) -> bool:
    host = endpoint.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
