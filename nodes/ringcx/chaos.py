"""Calls as no documentation promises them: each trouble comes from a seed, so that it comes again.

A call's plan is drawn before it begins, from the seed and from what the call is. Positions are in media, not in time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from flowcore import Packet, Report, Session, impairment
from flowcore.diagnostics import did_you_mean
from nodes.ringcx.call_transport import CallTransport
from nodes.ringcx.protocol import TRACKS

KINDS = {
    "dialect": "speaks as in 2021: START, call_id, encoding MULAW; over gRPC leaves out all that may be left out",
    "no_stop": "one Stop instead of two, or none; over gRPC with none it is cancelled",
    "no_start": "before the call a connection with Stop and without Start; over gRPC media before DialogInit",
    "hold": "sends nothing for a while, then goes on",
    "transfer": "goes on in a second session of the same call",
    "garbage": "messages that are none, of every sort, among the media",
    "slow": "sends a stretch of the media in crumbs, slower than real time",
    "half_open": "falls silent, and is gone in the end without a word",
}
"""What ``chaos`` may do to a call."""

MOST = 3
"""Kinds in one call when the seed picks them."""
EARLIEST, LATEST = 0.1, 2.0
"""Seconds of media between which a trouble begins, for a short recording too; a half-open call is so from the last."""
HOLD = (0.3, 1.5)
"""Seconds; a receiver takes more than 0.2 s without a packet for a pause."""
SLOW = 0.75
"""Seconds that a slow stretch takes."""
VANISH = (0.1, 0.5)
"""Seconds of silence before a half-open connection is gone: those of an engine's end are few."""


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
                hint = did_you_mean(kind, KINDS, f"there are {', '.join(KINDS)}")
                raise ValueError(f"there is no trouble of the kind {kind!r}: {hint}")
        return cls(int(seed), tuple(dict.fromkeys(kinds)))


def _checked(text: str) -> str:
    if text:
        Order.read(text)
    return text


Act = Callable[[], None]

Chaos = Annotated[str, AfterValidator(_checked)]
"""Empty, or an `Order` as a graph or a command line writes it."""


class Chaotic:
    """A ``call`` with the troubles of ``order``, each told to ``report`` as ``chaos`` when it is made."""

    def __init__(self, call: CallTransport, order: Order, session: Session, report: Report) -> None:
        chance = impairment.call_rng("chaos", order.seed, session)
        picked = order.kinds or chance.sample(sorted(KINDS), chance.randint(1, MOST))
        self.kinds = tuple(kind for kind in KINDS if kind in picked)
        """What this call is to have."""
        self._call = call
        self._report = report
        self._sent = dict.fromkeys(TRACKS.values(), 0.0)  # seconds, of all sessions
        self._mute = False
        # All chance is used up here, so that what happens does not depend on what the receiver does.
        draw = chance.uniform
        self._hold, self._vanish = draw(*HOLD), draw(*VANISH)
        self._stops = chance.randrange(2)
        self._mess = chance.choices(call.garbage, k=chance.randint(4, 12))
        acts: dict[str, list[Act]] = {
            "hold": [self._be_on_hold],
            "transfer": [self._transfer],
            "garbage": [self._say_garbage] * len(self._mess),
            "slow": [self._slow_down],
        }
        plan = [(draw(EARLIEST, LATEST), act) for kind, all in acts.items() for act in all if kind in self.kinds]
        plan += [(LATEST, self._fall_silent)] * ("half_open" in self.kinds)
        self._plan = deque(sorted(plan, key=lambda entry: entry[0]))
        self._told = chance.random() < 0.5  # whether a hold is announced
        call.expect(self.kinds)

    def begin(self) -> None:
        if "dialect" in self.kinds:
            self._tell("dialect")
        if "no_start" in self.kinds:
            self._tell("no_start")
            self._call.begin_without_start()
        else:
            self._call.begin()

    def media(self, packet: Packet) -> None:
        while self._plan and max(self._sent.values()) >= self._plan[0][0]:
            self._plan.popleft()[1]()
        self._sent[packet.track] += packet.seconds
        if self._mute:
            self._report.dropped("half_open", packet.seconds)
        else:
            self._call.media(packet)

    def end(self) -> None:
        if self._plan:
            self._report.event("chaos_left_out", acts=len(self._plan), reason="the call was too short")
        if self._mute:
            time.sleep(self._vanish)
            self._call.vanish()
        elif "no_stop" in self.kinds:
            self._tell("no_stop", stops=self._stops)
            self._call.end_without_stops(self._stops)
        else:
            self._call.end()

    def close(self) -> None:
        self._call.close()

    def _tell(self, did: str, **how: object) -> None:
        self._report.event("chaos", did=did, at=round(max(self._sent.values()), 2), **how)

    def _be_on_hold(self) -> None:
        self._tell("hold", seconds=round(self._hold, 2))
        self._call.hold(self._hold, self._told)

    def _transfer(self) -> None:
        said = self._call.said
        session = said.get("session_id", "1")
        said["session_id"] = str(int(session) + 1) if session.isdecimal() else f"{session}-2"
        self._tell("transfer", to_session=said["session_id"])
        self._call.end()
        self._call.close()
        self._call.begin()

    def _say_garbage(self) -> None:
        name = self._mess.pop()
        self._tell("garbage", message=name[:40])
        self._call.say_garbage(name)

    def _slow_down(self) -> None:
        self._tell("slow", seconds=SLOW)
        self._call.slow_down(SLOW)

    def _fall_silent(self) -> None:
        self._tell("half_open")
        self._mute = True
        self._call.fall_silent()
