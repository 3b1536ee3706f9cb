"""Calls as no documentation promises them: each trouble comes from a seed, so that it comes again.

A call's plan is drawn before it begins, from the seed and from what the call is. Positions are in media, not in time.
"""

from __future__ import annotations

import difflib
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from flowcore import Packet, Report, Session
from nodes.protocols.ringcx import Caller, Dialect
from nodes.simulators.fate import dice
from nodes.simulators.line import Line
from nodes.simulators.manners import Manner

KINDS = {
    "dialect": "speaks as in 2021: START, call_id, encoding MULAW",
    "no_stop": "one Stop instead of two, or none",
    "no_start": "before the call a connection that says Stop and never Start",
    "hold": "sends nothing for a while, then goes on",
    "transfer": "goes on in a second session of the same call",
    "garbage": "messages that are none, of every sort, among the media",
    "slow": "sends a stretch of the media in fragments, slower than real time",
    "half_open": "falls silent, and is gone in the end without a word",
}
"""What ``chaos`` may do to a call."""

MOST = 3
"""Kinds in one call when the seed picks them."""
EARLIEST, LATEST = 0.1, 2.0
"""Seconds of media between which a trouble begins, for a short recording too; a half-open call is so from the last."""
HOLD = (0.3, 1.5)
"""Seconds; a receiver takes more than 0.2 s without a packet for a pause."""
STRETCH = 25
"""Messages that are sent slowly, and the seconds that each takes, in which a call in real time sends three."""
SLOWLY = 0.03
VANISH = (0.1, 0.5)
"""Seconds of silence before a half-open connection is gone: those of an engine's end are few."""

GARBAGE = (
    b"hello",
    b"",
    b"{",
    b"null",
    b"[" * 2000,
    b'{"event": 7}',
    b'{"event": "Media"}',
    b'{"event": "Media", "perspective": "Nobody", "sequenceId": "1", "media": "AAAA"}',
    b'{"event": "Media", "perspective": "Participant", "sequenceId": "one", "media": "AAAA"}',
    b'{"event": "Media", "perspective": "Participant", "sequenceId": "1", "media": "!!!"}',
    b'{"event": "Media", "perspective": "Conference", "sequenceId": "1", "media": ""}',
    b'{"event": "DTMF", "digits": "1234"}',
    b'{"event": "Start", "metadata": {"callId": "another"}}',
    b'{"event": "Connected"}',
)
"""Bad, unknown or unexpected messages, none of which may cost the call a sample."""


@dataclass(frozen=True)
class Order:
    """What ``seed=7,hold`` asks for: these kinds in every call, or for each call some that the seed picks."""

    seed: int
    kinds: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Order:
        """Raises `ValueError` with what to write instead."""
        first, *kinds = (part.strip() for part in text.split(","))
        name, _, seed = first.partition("=")
        if name.strip() != "seed" or not seed.strip().isdecimal():
            raise ValueError("write seed=NUMBER and, if you like, kinds of trouble: seed=7 or seed=7,hold,garbage")
        for kind in kinds:
            if kind not in KINDS:
                near = difflib.get_close_matches(kind, KINDS, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(KINDS)}"
                raise ValueError(f"there is no trouble of the kind {kind!r}: {hint}")
        return cls(int(seed), tuple(dict.fromkeys(kinds)))


def _checked(text: str) -> str:
    if text:
        Order.read(text)
    return text


Act = Callable[[], None]

Chaos = Annotated[str, AfterValidator(_checked)]
"""Empty, or an `Order` as a graph or a command line writes it."""


class Chaotic(Manner):
    """A call with the troubles of ``order``, each told to ``report`` as ``chaos`` when it is made."""

    def __init__(
        self, url: str, said: Mapping[str, str], dialect: Dialect, order: Order, session: Session, report: Report
    ) -> None:
        chance = dice("chaos", order.seed, session)
        picked = order.kinds or chance.sample(sorted(KINDS), chance.randint(1, MOST))
        self.kinds = tuple(kind for kind in KINDS if kind in picked)
        """What this call is to have."""
        super().__init__(url, said, "upper" if "dialect" in self.kinds else dialect)
        self._report = report
        self._sent = dict.fromkeys(self.seconds, 0.0)  # of all sessions
        self._mute = False
        self._slow = 0  # messages still to be sent slowly
        # All chance is used up here, so that what happens does not depend on what the receiver does.
        draw = chance.uniform
        self._hold, self._vanish = draw(*HOLD), draw(*VANISH)
        self._stops = chance.randrange(2)
        self._mess = chance.choices(GARBAGE, k=chance.randint(4, 12))
        acts: dict[str, list[Act]] = {
            "hold": [self._be_on_hold],
            "transfer": [self._transfer],
            "garbage": [self._say_garbage] * len(self._mess),
            "slow": [self._slow_down],
        }
        plan = [(draw(EARLIEST, LATEST), act) for kind, all in acts.items() for act in all if kind in self.kinds]
        plan += [(LATEST, self._fall_silent)] * ("half_open" in self.kinds)
        self._plan = deque(sorted(plan, key=lambda entry: entry[0]))

    def begin(self) -> None:
        if "no_start" in self.kinds:
            self._tell("no_start")
            self._stop_without_start()
        if "dialect" in self.kinds:
            self._tell("dialect")
        super().begin()

    def media(self, packet: Packet) -> None:
        while self._plan and max(self._sent.values()) >= self._plan[0][0]:
            self._plan.popleft()[1]()
        self._sent[packet.track] += packet.seconds
        if self._mute:
            self._report.dropped("half_open", packet.seconds)
        else:
            super().media(packet)

    def say(self, message: bytes) -> None:
        if self._slow and self.line is not None:
            self._slow -= 1
            self.line.say_slowly(message, 3, SLOWLY)
        else:
            super().say(message)

    def end(self) -> None:
        if self._plan:
            self._report.event("chaos_left_out", acts=len(self._plan), reason="the call was too short")
        if self._mute and self.line is not None:
            time.sleep(self._vanish)
            self.line.vanish()
            return
        if "no_stop" in self.kinds:
            self._tell("no_stop", stops=self._stops)
        self.stops(self._stops if "no_stop" in self.kinds else 2)
        self.hang_up()

    def _tell(self, did: str, **how: object) -> None:
        self._report.event("chaos", did=did, at=round(max(self._sent.values()), 2), **how)

    def _stop_without_start(self) -> None:
        caller = Caller(self.said, self.dialect)
        line = Line(caller.asks(self.url))
        try:
            line.say(caller.connected())
            line.say(caller.stop(0, "2021-01-14T00:00:00Z"))
            line.hang_up()
        finally:
            line.close()

    def _be_on_hold(self) -> None:
        self._tell("hold", seconds=round(self._hold, 2))
        time.sleep(self._hold)

    def _transfer(self) -> None:
        session = self.said.get("session_id", "1")
        self.said["session_id"] = str(int(session) + 1) if session.isdecimal() else f"{session}-2"
        self._tell("transfer", to_session=self.said["session_id"])
        self.stops(2)
        self.hang_up()
        self.seconds = dict.fromkeys(self.seconds, 0.0)
        super().begin()

    def _say_garbage(self) -> None:
        message = self._mess.pop()
        self._tell("garbage", message=message[:40].decode())
        self.say(message)

    def _slow_down(self) -> None:
        self._tell("slow", messages=STRETCH, seconds=STRETCH * SLOWLY)
        self._slow = STRETCH

    def _fall_silent(self) -> None:
        self._tell("half_open")
        self._mute = True
