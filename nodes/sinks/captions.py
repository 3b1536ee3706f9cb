"""Show both parties' words on a page while they speak: text in, a small web page out, made for an agent's desktop."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr, model_validator

from flowcore import TEXT, Config, Duration, Resource, Session, Sink, Text, node
from flowcore.events import EventType, Reason
from nodes.captions.access import SHORTEST, Mode
from nodes.captions.site import CaptionsSite

ORIGIN = re.compile(r"https?://(\*\.)?[A-Za-z0-9.-]+(:(\d+|\*))?")


def _origin(text: str) -> str:
    if not ORIGIN.fullmatch(text):
        raise ValueError(f"{text!r} is no origin: write it like https://desk.example.com, without a path")
    return text


class CaptionsConfig(Config):
    """Who may look, from where, and for how long."""

    access: Mode | None = None
    """Who may look: ``key``, whoever gives the secret as ``key=…``; ``token``, whoever gives a signed ``token=…``
    for this call (``flowcore token``); ``off``, anybody on this machine and nobody else. Left out, it is ``key``
    when there is a secret, else ``off``."""

    secret: SecretStr = SecretStr("")
    """The viewers' key, or what signs tokens, as ``${NAME}``: 16 characters or more."""

    frame_ancestors: tuple[Annotated[str, AfterValidator(_origin)], ...] = ("https://*.ringcentral.com",)
    """Origins whose pages may hold this one in an iFrame: that of the agents' desktop, as the browser shows it."""

    keep: Duration = Duration("15min")
    """How long a call can still be looked at after its end; the last 200 at most."""

    viewers: int = Field(default=500, ge=1)
    """Pages that may watch at once in each process; more are answered 503."""

    @property
    def mode(self) -> Mode:
        """Who may look."""
        return self.access or ("key" if self.secret else "off")

    @model_validator(mode="after")
    def _has_a_secret(self) -> CaptionsConfig:
        if self.mode != "off" and len(self.secret) < SHORTEST:
            raise ValueError(f'access {self.mode} needs a secret of {SHORTEST} characters or more: "${{VIEWER_KEY}}"')
        return self


@node("captions")
class Captions(Sink[Text, CaptionsConfig]):
    """Show each call at ``/client?callId=…`` of the listener's own port, so that one certificate serves both.

    An interim text stands until its final replaces it. The page may be opened before the call, in the middle, or a
    while after; a transfer (the same call id in another session) goes on on the same page. Any number may watch: one
    that reads slowly sees fewer interim texts, and holds up nobody. The feed behind it is a WebSocket of JSON,
    ``/client-ws?callId=…``.

    In: ``Text`` of any tracks. Out: pages; a call's oldest texts are dropped as ``page_full`` beyond 1000; event
    ``page_unavailable`` when the listener has no port.

    Example::

        page: {use: captions, from: words, with: {secret: "${VIEWER_KEY}"}}
    """

    caps = (TEXT,)
    loss = "allowed"
    events = (EventType("page_unavailable", "The listener has no port for the page.", "warning", advice=""),)
    reasons = (Reason("page_full", "A call's oldest texts, when it has more than its page holds."),)

    resource: CaptionsSite

    @classmethod
    def make_resource(cls, config: CaptionsConfig) -> Resource:
        secret = config.secret.get_secret_value()
        return CaptionsSite(config.mode, secret, config.frame_ancestors, config.keep, config.viewers)

    def __init__(self, config: CaptionsConfig) -> None:
        super().__init__(config)
        self._flow = ""

    def open(self, session: Session) -> None:
        self._flow = session.flow
        if not self.resource.served:
            self.report.event(
                "page_unavailable", advice="this graph's first node has no port to show it at: ringcx has one"
            )
        self.resource.words.begin(session.attributes.get("call_id") or session.flow, session.flow, session.started)

    def process(self, chunk: Text) -> None:
        pushed_out = self.resource.words.say(self._flow, chunk)
        if pushed_out:
            self.report.dropped("page_full", chunks=pushed_out)

    def close(self) -> None:
        if self._flow:
            self.resource.words.end(self._flow)
