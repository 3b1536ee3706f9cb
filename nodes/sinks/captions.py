"""Show live captions of both parties on a small web page, made for an agent's desktop."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, model_validator

from flowcore import TEXT, Config, Duration, Resource, Session, Sink, Text, node
from flowcore.call_ids import normalize_id
from flowcore.events import EventType, Reason
from nodes.captions.access import MIN_SECRET_CHARS, Mode
from nodes.captions.site import CaptionsSite

ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:(\d+|\*))?")


def _origin(text: str) -> str:
    if not ORIGIN.fullmatch(text):
        raise ValueError(f"{text!r} is not an origin: write it like https://desk.example.com, without a path")
    return text


class CaptionsConfig(Config):
    """Access, framing pages, and how long calls are kept."""

    access: Mode | None = None
    """Access to the page: ``key`` requires the secret as ``key=…``; ``token`` requires a signed ``token=…`` for
    the call (``flowcore token``); ``off`` serves this machine only. The default is ``key`` with a secret, else
    ``off``."""

    secret: SecretStr = SecretStr("")
    """The viewers' key, or the secret that signs tokens, as ``${NAME}``: 16 characters or more."""

    frame_ancestors: tuple[Annotated[str, AfterValidator(_origin)], ...] = ("https://*.ringcentral.com",)
    """Origins whose pages may embed this one in an iframe, such as the agents' desktop, as the browser shows them."""

    keep: Duration = Duration("15min")
    """How long the page of a call stays available after its end; at most the last 200 calls."""

    viewers: int = Field(default=500, ge=1)
    """Most open pages in each process; more get the answer 503."""

    @property
    def mode(self) -> Mode:
        """The access mode, with its default."""
        return self.access or ("key" if self.secret else "off")

    @model_validator(mode="after")
    def _has_a_secret(self) -> CaptionsConfig:
        if self.mode != "off" and len(self.secret) < MIN_SECRET_CHARS:
            needed = f'a secret of {MIN_SECRET_CHARS} characters or more: "${{VIEWER_KEY}}"'
            raise ValueError(f"access {self.mode} needs {needed}")
        return self


@node("captions")
class Captions(Sink[Text, CaptionsConfig]):
    """Show each call at ``/client?callId=…`` of the listener's own port, so that one certificate serves both.

    An interim text stays until its final text replaces it. A page may be opened before, during or after the call, for
    ``keep``. After a transfer (the same call id in another session) the same page continues. Many pages may watch a
    call; a slow one gets fewer interim texts and delays no other. The feed of a page is a WebSocket of JSON,
    ``/client-ws?callId=…``.

    The page says while an operator pauses the call or mutes a party, and marks these stretches.

    In: ``Text`` of any tracks. Out: pages; beyond 1000, a call's oldest texts are dropped as ``page_full``; events
    ``page_unavailable`` if the listener has no port, and ``call_id_taken`` if another account's call has the call id.

    Example::

        page: {use: captions, from: words, with: {secret: "${VIEWER_KEY}"}}
    """

    caps = (TEXT,)
    loss = "allowed"
    events = (
        EventType("page_unavailable", "The listener has no port for the page.", "warning", advice=""),
        EventType(
            "call_id_taken",
            "A call of another account has this call id: this call has its own page, under its other ids.",
            "warning",
            advice="",
        ),
    )
    reasons = (Reason("page_full", "A call's oldest texts, when it has more than its page holds.", lost=False),)

    resource: CaptionsSite
    _flow = ""
    _silent: frozenset[str] = frozenset()

    @classmethod
    def make_resource(cls, config: CaptionsConfig) -> Resource:
        secret = config.secret.get_secret_value()
        return CaptionsSite(config.mode, secret, config.frame_ancestors, config.keep, config.viewers)

    def open(self, session: Session) -> None:
        self._flow = session.flow
        if not self.resource.served:
            advice = "this graph's first node has no port to show it at: ringcx has one"
            self.report.event("page_unavailable", advice=advice)
        call = normalize_id(session.attributes.get("call_id", ""))
        if self.resource.shared_calls.begin(session).call != call != "":
            self.report.event("call_id_taken", advice="ids can be forged: set accounts on the listener to yours")
        self.collect()  # a call that was paused before it connected again

    def process(self, chunk: Text) -> None:
        self._count(self.resource.shared_calls.add_text(self._flow, chunk))

    def collect(self) -> None:
        if (silent := self.silent()) != self._silent:
            self._silent = silent
            self._count(self.resource.shared_calls.silence(self._flow, silent, self.silenced()))

    def flush(self) -> None:
        if stretches := self.silenced():
            self._count(self.resource.shared_calls.silence(self._flow, frozenset(), stretches))

    def _count(self, pushed_out: int) -> None:
        if pushed_out:
            self.report.dropped("page_full", chunks=pushed_out)

    def close(self) -> None:
        if self._flow:
            self.resource.shared_calls.end(self._flow)
