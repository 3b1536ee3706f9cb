"""Faults injected into a call by a seed, so that the same call meets the same faults again.

A call's faults are drawn before it begins, from the seed and the call's ids. Their positions are in media, not in time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator

from flowcore import EventType, Packet, Reason, Report, Session, impairment
from flowcore.diagnostics import did_you_mean
from nodes.ringcx.call_transport import CallTransport
from nodes.ringcx.messages import TRACKS

KINDS = {
    "dialect": "sends the dialect of 2021: START, call_id, encoding MULAW; over gRPC omits all optional fields",
    "no_stop": "sends one Stop instead of two, or none; over gRPC with none it is cancelled",
    "no_start": "before the call a connection with Stop and without Start; over gRPC media before DialogInit",
    "hold": "sends nothing for a while, then goes on",
    "transfer": "goes on in a second session of the same call",
    "garbage": "sends invalid messages of every sort among the media",
    "slow": "sends a stretch of the media in small pieces, slower than real time",
    "half_open": "falls silent, and resets the connection in the end",
}
"""The kinds of faults."""

EVENTS = (
    EventType(
        "chaos_injected",
        "A sender injected a fault into its call.",
        did="The kind of the fault.",
        at="Seconds of media sent before.",
        seconds="How long the fault lasts.",
        stops="How many Stops were sent.",
        to_session="The session in which the call goes on.",
        message="The name of an invalid message.",
    ),
    EventType("chaos_skipped", "A call ended before all of its faults.", acts="How many were left.", reason=""),
)
REASONS = (Reason("half_open", "Media that a sender kept, because the call was half open.", lost=False),)

MAX_KINDS = 3
"""Kinds in one call when the seed picks them."""
EARLIEST, LATEST = 0.1, 2.0
"""Seconds of media between which a fault begins, even in a short recording; ``half_open`` begins at the latest."""
HOLD = (0.3, 1.5)
"""Seconds that a hold lasts; a receiver takes more than 0.2 s without a packet for a pause."""
SLOW = 0.75
"""Seconds that a slow stretch lasts."""
RESET_AFTER = (0.1, 0.5)
"""Seconds of silence before a half-open connection is reset: the engine gives a flow only a few to end."""


@dataclass(frozen=True)
class ChaosSpec:
    """The parsed form of ``seed=7,hold``: these kinds in every call, or kinds that the seed picks for each call."""

    seed: int
    kinds: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> ChaosSpec:
        """Parse the text. Raises `ValueError`, which says what to write instead."""
        first, *kinds = (part.strip() for part in text.split(","))
        name, _, seed = first.partition("=")
        if name.strip() != "seed" or not seed.strip().isdecimal():
            raise ValueError("write seed=NUMBER and, if you like, kinds of faults: seed=7 or seed=7,hold,garbage")
        for kind in kinds:
            if kind not in KINDS:
                hint = did_you_mean(kind, KINDS, f"there are {', '.join(KINDS)}")
                raise ValueError(f"there is no fault of the kind {kind!r}: {hint}")
        return cls(int(seed), tuple(dict.fromkeys(kinds)))


def _validate(text: str) -> str:
    if text:
        ChaosSpec.parse(text)
    return text


Chaos = Annotated[str, AfterValidator(_validate)]
"""The text of a `ChaosSpec` in a graph or on a command line; empty for none."""


class ChaoticCall:
    """A ``call`` with the faults of ``spec``, each reported as event ``chaos_injected`` when it is injected."""

    def __init__(self, call: CallTransport, spec: ChaosSpec, session: Session, report: Report) -> None:
        rng = impairment.call_rng("chaos", spec.seed, session)
        picked = spec.kinds or rng.sample(sorted(KINDS), rng.randint(1, MAX_KINDS))
        self.kinds = tuple(kind for kind in KINDS if kind in picked)
        """The kinds of this call's faults."""
        self._call = call
        self._report = report
        self._sent = dict.fromkeys(TRACKS.values(), 0.0)  # seconds, of all sessions
        self._silent = False
        # All random numbers are drawn here, so that the faults do not depend on the receiver.
        draw = rng.uniform
        self._hold, self._reset_after = draw(*HOLD), draw(*RESET_AFTER)
        self._stops = rng.randrange(2)
        self._garbage = rng.choices(call.garbage, k=rng.randint(4, 12))
        actions: dict[str, list[Callable[[], None]]] = {
            "hold": [self._hold_call],
            "transfer": [self._transfer],
            "garbage": [self._send_garbage] * len(self._garbage),
            "slow": [self._slow_down],
        }
        plan = [(draw(EARLIEST, LATEST), act) for kind, acts in actions.items() for act in acts if kind in self.kinds]
        plan += [(LATEST, self._fall_silent)] * ("half_open" in self.kinds)
        self._plan = deque(sorted(plan, key=lambda entry: entry[0]))
        self._hold_announced = rng.random() < 0.5
        call.prepare(self.kinds)

    def begin(self) -> None:
        if "dialect" in self.kinds:
            self._report_fault("dialect")
        if "no_start" in self.kinds:
            self._report_fault("no_start")
            self._call.begin_without_start()
        else:
            self._call.begin()

    def media(self, packet: Packet) -> None:
        while self._plan and max(self._sent.values()) >= self._plan[0][0]:
            self._plan.popleft()[1]()
        self._sent[packet.track] += packet.seconds
        if self._silent:
            self._report.dropped("half_open", packet.seconds)
        else:
            self._call.media(packet)

    def end(self) -> None:
        if self._plan:
            self._report.event("chaos_skipped", acts=len(self._plan), reason="the call was too short")
        if self._silent:
            time.sleep(self._reset_after)
            self._call.reset()
        elif "no_stop" in self.kinds:
            self._report_fault("no_stop", stops=self._stops)
            self._call.end(self._stops)
        else:
            self._call.end()

    def close(self) -> None:
        self._call.close()

    def _report_fault(self, fault: str, **details: Any) -> None:
        self._report.event("chaos_injected", did=fault, at=round(max(self._sent.values()), 2), **details)

    def _hold_call(self) -> None:
        self._report_fault("hold", seconds=round(self._hold, 2))
        self._call.hold(self._hold, self._hold_announced)

    def _transfer(self) -> None:
        attributes = self._call.attributes
        session = attributes.get("session_id", "1")
        attributes["session_id"] = str(int(session) + 1) if session.isdecimal() else f"{session}-2"
        self._report_fault("transfer", to_session=attributes["session_id"])
        self._call.end()
        self._call.close()
        self._call.begin()

    def _send_garbage(self) -> None:
        name = self._garbage.pop()
        self._report_fault("garbage", message=name[:40])
        self._call.send_garbage(name)

    def _slow_down(self) -> None:
        self._report_fault("slow", seconds=SLOW)
        self._call.slow_down(SLOW)

    def _fall_silent(self) -> None:
        self._report_fault("half_open")
        self._silent = True
        self._call.fall_silent()
