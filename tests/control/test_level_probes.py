"""Levels of chunks of every kind that a listener gives, and the talk in them."""

from types import SimpleNamespace

import numpy as np
import pytest

from flowcore import Audio, Packet
from flowcore.control.level_probes import MAX_RECENT, MAX_WATCHED, TALK_DB, LevelProbe, LevelProbes
from nodes.audio import g711

PACKET = 160


class Line:
    """A flow whose listener gives ``encoding``, on a clock that the test sets."""

    def __init__(self, encoding, parties=("agent", "customer")):
        self.time = 100.0
        form = SimpleNamespace(encoding=encoding, kind="audio")
        self.listener = SimpleNamespace(name="call", gives=(form,))
        self.plan = SimpleNamespace(listener=self.listener)
        self.opened_at = 100.0
        self.parties = list(parties)
        self.state = "running"
        self.id = "flow"

    def now(self):
        return self.time


def tone(db, length=PACKET):
    """A square wave with this level."""
    amplitude = round(32768 * 10 ** (db / 20))
    return np.resize(np.array([amplitude, -amplitude], np.int16), length)


def packets(line, probe, track, db, count):
    """Give so many packets of 20 ms, in real time."""
    for _ in range(count):
        line.time += 0.02
        data = b"\xff" * PACKET if db is None else g711.encode(tone(db)).tobytes()
        probe.take(Packet(track, 0, data, line.time))


def test_levels_of_packets_by_party():
    line = Line("mulaw")
    probe = LevelProbe(line)
    packets(line, probe, "agent", -20, 10)
    packets(line, probe, "customer", None, 10)
    assert probe.levels() == {"agent": pytest.approx(-20, abs=0.3), "customer": None}


def test_levels_of_stereo_are_those_of_its_channels():
    line = Line("s16", parties=())
    probe = LevelProbe(line)
    probe.take(Audio(np.stack([tone(-6), tone(-40)], axis=1), "s16", 8000, "", 0))
    assert probe.levels() == {"agent": pytest.approx(-6, abs=0.1), "customer": pytest.approx(-40, abs=0.1)}


def test_a_level_is_that_of_the_last_half_second():
    line = Line("mulaw", parties=["agent"])
    probe = LevelProbe(line)
    packets(line, probe, "agent", -10, 100)
    packets(line, probe, "agent", -30, 30)
    assert len(probe._recent) == MAX_RECENT
    assert probe.levels() == {"agent": pytest.approx(-30, abs=1)}
    line.time += 1.0
    assert probe.levels() == {"agent": None}


def test_talk_is_found_from_when_it_is_asked_for_and_short_pauses_are_bridged():
    line = Line("mulaw")
    probe = LevelProbe(line)
    packets(line, probe, "agent", -20, 50)
    assert (probe.talk(), probe.talk_since) == ([], None)
    probe.follow_talk()
    packets(line, probe, "agent", -20, 50)
    packets(line, probe, "agent", TALK_DB - 10, 10)
    first = probe.talk()
    packets(line, probe, "agent", -20, 50)
    packets(line, probe, "agent", None, 50)
    packets(line, probe, "customer", -20, 5)
    assert first == [{"track": "agent", "start": 1.0, "end": 2.0}]
    assert probe.talk() == [
        {"track": "agent", "start": 1.0, "end": pytest.approx(3.2)},
        {"track": "customer", "start": pytest.approx(4.2), "end": pytest.approx(4.3)},
    ]
    assert probe.talk_since == 1.0


def test_no_more_flows_are_watched_than_there_is_room_for():
    placed = []
    probes = LevelProbes()
    probes._running = True  # no thread
    for number in range(MAX_WATCHED + 5):
        line = Line("mulaw")
        line.id = str(number)
        run = SimpleNamespace(plan=line.listener, add_probe=lambda port, probe: placed.append(probe))
        line.runs = {"call": run}
        probes.watch([line])
        probes.watch([line])
    assert len(placed) == MAX_WATCHED
    assert probes.of(line) is None
