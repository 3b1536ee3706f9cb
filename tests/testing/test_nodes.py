import numpy as np
import pytest

from flowcore import Audio, Demux, Emit, Transform
from flowcore.errors import AccountingError, Undeclared
from flowcore.node import Config
from flowcore.testing import NodeHarness, duration, joined, run, silence, tone
from nodes.transforms.split import Split
from tests.engine.nodes import Tones


class Reminder(Transform[Audio, Audio, Config]):
    """Keep chunks until an alarm after a second, or until the engine collects."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.kept: list[Audio] = []

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        self.kept.append(chunk)
        self.alarm(self.now() + 1.0)

    def collect(self, emit: Emit[Audio]) -> None:
        while self.kept:
            emit(self.kept.pop(0))


class Losing(Transform[Audio, Audio, Config]):
    """Lose all chunks, and report them as ``tells`` says."""

    balanced = True
    tells = ""

    def process(self, chunk: Audio, emit: Emit[Audio]) -> None:
        if self.tells == "event":
            self.report.event("unheard_of")
        elif self.tells == "reason":
            self.report.dropped("unheard_of", chunk.seconds)


def test_alarms_ring_when_time_passes():
    harness = NodeHarness(Reminder).push(*tone("40ms"))
    assert harness.wait(0.9).out == []
    assert duration(harness.wait(0.2).out) == "40ms"


def test_collect_calls_the_node():
    assert duration(NodeHarness(Reminder).push(*tone("40ms")).collect().out) == "40ms"


def test_a_listener_is_refused():
    with pytest.raises(TypeError, match="run_listener"):
        NodeHarness(Tones)


def test_the_resource_is_that_of_the_test():
    assert NodeHarness(Reminder, resource="disk").node.resource == "disk"


def test_audio_that_a_balanced_node_loses_is_an_error():
    with pytest.raises(AccountingError, match=r"in \+ filled = 0.0400 s, out \+ dropped = 0.0000 s"):
        NodeHarness(Losing).push(*tone("40ms")).end()


@pytest.mark.parametrize("tells", ["event", "reason"])
def test_events_and_reasons_must_be_declared(tells):
    cls = type("Losing", (Losing,), {"tells": tells})
    with pytest.raises(Undeclared, match="unheard_of"):
        NodeHarness(cls).push(*tone("40ms")).end()


def test_each_port_of_a_demux_has_its_own_chunks():
    assert issubclass(Split, Demux)
    both = [*tone("40ms", track="agent"), *silence("40ms", track="customer")]
    ports = NodeHarness(Split).push(*both).end().ports
    assert [chunk.track for chunks in ports.values() for chunk in chunks] == ["agent"] * 2 + ["customer"] * 2
    assert len(run(Split, {}, both)) == 4


def test_joined_fills_holes_with_silence():
    assert len(joined([])) == 0
    chunks = [
        Audio(np.ones(2, np.int16), "s16", 8000, "agent", 1),
        Audio(np.ones(1, np.int16), "s16", 8000, "agent", 4),
    ]
    assert [*joined(chunks, "agent")] == [0, 1, 1, 0, 1]
    coded = [Audio(np.zeros(1, np.uint8), "mulaw", 8000, "agent", 1)]
    assert [*joined(coded)] == [0xFF, 0]
