"""Bad senders against a real engine: it survives them all, loses no sample that was sent, and no other call notices.

Each over both transports.
"""

import threading
import wave
from typing import NamedTuple

import numpy as np
import pytest
from pydantic import ValidationError

from flowcore import Audio, Session
from flowcore.testing import SESSION, NodeHarness
from nodes.ringcx.chaos import KINDS, LATEST, ChaosSpec
from nodes.sinks.ringcx_call import RingCXCall
from nodes.sinks.ringcx_grpc_call import RingCXGrpcCall
from tests.support.live import Live, until
from tests.support.phone import Phone, said, stereo
from tests.support.phone_grpc import GrpcPhone, over_grpc
from tools.load import mulaw

pytestmark = pytest.mark.slow

SECONDS = 3.0


class Way(NamedTuple):
    """A transport."""

    name: str
    sink: type
    harmless: frozenset[str]
    """Drop reasons that a receiver may count beside bad messages: none of them loses real audio."""
    lost: str
    """How a call ends whose connection was reset."""


WEBSOCKET = Way(
    "websocket",
    RingCXCall,
    frozenset({"unknown_event", "empty_media", "second_start", "late_connected", "stop_before_start"}),
    "peer_lost",
)
GRPC = Way(
    "grpc",
    RingCXGrpcCall,
    frozenset(
        {
            "unknown_event",
            "empty_media",
            "second_dialog_init",
            "second_segment_start",
            "stop_without_segment",
            "duplicate",  # media twice
            "media_without_segment",  # of an unknown segment
        }
    ),
    "peer_lost",
)


@pytest.fixture(params=[WEBSOCKET, GRPC], ids=lambda way: way.name)
def way(request):
    return request.param


def call(number):
    return Session(f"call{number}", SESSION.started, {"call_id": f"call{number}", "session_id": "1"})


def make(way, url, chaos, number=7, seconds=SECONDS, wait=lambda: None):
    """One call, from its first message to its end; after half of its sound it waits."""
    config = {"url": url, "chaos": chaos, "call_id": f"call{number}"}
    harness = NodeHarness(way.sink, config, session=call(number))
    voices = {track: np.frombuffer(mulaw(number, track, seconds), np.uint8) for track in ("agent", "customer")}
    for at in range(0, round(seconds * 8000), 160):
        if at == round(seconds * 4000):
            wait()
        for track, voice in voices.items():
            harness.push(Audio(voice[at : at + 160], "mulaw", 8000, track, at))
    return harness.end()


def heard_so_far(engine):
    """Wait until the receiver has a second of the call: a stream that is frozen or cancelled takes with it what gRPC
    had not handed over, which on a busy machine may be all."""
    until(lambda: any(flow.stats()["call"].left.seconds > 2.0 for flow in tuple(engine.engine.flows.values())))


def did(harness):
    return [data["did"] for name, data in harness.events if name == "chaos_injected"]


def cut_short(harness):
    """Whether some of what was said was still on its way when the sender went."""
    return any(data.get("did") == "half_open" or data.get("stops") == 0 for name, data in harness.events)


def only_harmless(way, engine):
    return {reason for reason in engine.dropped() if not reason.startswith("bad_message:")} <= way.harmless


def live(way, tmp_path, calls):
    # A recording of sound as it came, without the silence of holds, so that it can be compared to the sample.
    settings = [f"wav.path={tmp_path}/{{call_id}}-{{session_id}}.wav", "ordered.hold=collapse"]
    graph = over_grpc(tmp_path, "record") if way is GRPC else "record"
    return Live(graph, settings, calls=calls)


def heard(*paths):
    """Each party's samples in recordings that follow each other, without silence."""
    return [
        np.concatenate([track[track != 0] for track in tracks])
        for tracks in zip(*(stereo(p).T for p in paths), strict=True)
    ]


def parties(path):
    with wave.open(str(path)) as file:
        return file.getnchannels()


def spoken(number, seconds=SECONDS):
    return [track[track != 0] for track in said(number, seconds).T]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def part_of(voices, kept):
    return same(kept, [voice[: len(part)] for voice, part in zip(voices, kept, strict=True)])


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("transfer", "half_open", "no_start")])
def test_no_sample_is_lost_to(kind, way, tmp_path):
    with live(way, tmp_path, 1) as engine:
        harness = make(way, engine.url, f"seed=23,{kind}")  # which says one Stop
    assert set(did(harness)) == {kind}
    assert same(heard(tmp_path / "call7-1.wav"), spoken(7))
    assert only_harmless(way, engine)


def test_a_stop_without_start_is_no_call_and_takes_nothing_from_the_one_after_it(tmp_path):
    with live(WEBSOCKET, tmp_path, 1) as engine:
        assert did(make(WEBSOCKET, engine.url, "seed=3,no_start")) == ["no_start"]
    assert engine.dropped() == {"stop_before_start": 1}
    assert engine.engine.totals.flows == 1
    assert same(heard(tmp_path / "call7-1.wav"), spoken(7))


@pytest.mark.parametrize("seconds", [SECONDS, 0.3])
def test_grpc_media_before_all_that_announces_it_is_heard_and_has_its_name(seconds, tmp_path):
    with live(GRPC, tmp_path, 1) as engine:
        assert did(make(GRPC, engine.url, "seed=3,no_start", seconds=seconds)) == ["no_start"]
    assert engine.dropped() == {}
    # Also in its place: the parties are level.
    assert np.array_equal(stereo(tmp_path / "call7-1.wav"), said(7, seconds))


def test_a_transfer_is_two_sessions_of_one_call_without_a_sample_between_them(way, tmp_path):
    with live(way, tmp_path, 2) as engine:
        assert did(make(way, engine.url, "seed=3,transfer")) == ["transfer"]
    assert same(heard(tmp_path / "call7-1.wav", tmp_path / "call7-2.wav"), spoken(7))


def test_a_half_open_call_keeps_what_was_heard_and_ends(way, tmp_path):
    with live(way, tmp_path, 1) as engine:
        harness = make(way, engine.url, "seed=3,half_open", wait=lambda: heard_so_far(engine))
    message = 0.1 if way is GRPC else 0.02
    kept = heard(tmp_path / "call7-1.wav")
    assert part_of(spoken(7), kept)
    assert harness.dropped["half_open"] == pytest.approx(2 * (SECONDS - LATEST), abs=2 * message)
    assert 0.5 * 8000 < len(stereo(tmp_path / "call7-1.wav")) < (LATEST + 2 * message) * 8000
    assert engine.engine.totals.reasons == {way.lost: 1}


def test_a_grpc_call_that_ends_without_any_stop_is_cancelled(tmp_path):
    with live(GRPC, tmp_path, 1) as engine:
        harness = make(GRPC, engine.url, "seed=4,no_stop", wait=lambda: heard_so_far(engine))
    assert harness.events == [("chaos_injected", {"did": "no_stop", "at": SECONDS, "stops": 0})]
    assert part_of(spoken(7), heard(tmp_path / "call7-1.wav"))
    assert engine.engine.totals.reasons == {"cancelled": 1}


def test_grpc_holds_are_announced_or_not(tmp_path):
    told = []
    for seed in (23, 24):
        with live(GRPC, tmp_path, 1) as engine:
            make(GRPC, engine.url, f"seed={seed},hold")
        told.append([event.data["what"] for event in engine.named("segment_reported")])
    assert told == [["hold", "hold", "unhold", "unhold"], []]


@pytest.mark.fault(53)
@pytest.mark.slow
def test_forty_seeds_at_a_live_engine_cost_the_good_call_beside_them_nothing(way, tmp_path):
    seeds = range(40)
    made = {}

    def work(own):
        for seed in own:
            made[seed] = make(way, engine.url, f"seed={seed}", seed)

    with live(way, tmp_path, None) as engine:
        good = (GrpcPhone if way is GRPC else Phone)(engine.url, "good")
        good.start()
        threads = [threading.Thread(target=work, args=(seeds[n::8],)) for n in range(8)]
        for thread in threads:
            thread.start()
        good.talk(99, 1.0)
        for thread in threads:
            thread.join()
        good.talk(99, 1.0)
        if way is WEBSOCKET:
            good.stop()
        good.hang_up()
        until(lambda: not engine.engine.flows)
    assert {kind for harness in made.values() for kind in did(harness)} == set(KINDS)
    assert not engine.named("node_failed")
    assert same(heard(tmp_path / "good-1.wav"), [np.tile(voice[voice != 0], 2) for voice in said(99, 1.0).T])
    for seed, harness in made.items():
        paths = sorted(tmp_path.glob(f"call{seed}-[12].wav"))
        sessions = 1 + ("transfer" in did(harness))
        if way is GRPC and cut_short(harness):  # a busy receiver may know nothing of its last session, or of a party
            assert sessions - 1 <= len(paths) <= sessions
            paths = [path for path in paths if parties(path) == 2]
            if not paths:
                continue
        else:
            assert len(paths) == sessions
        kept = heard(*paths)
        agrees = part_of if cut_short(harness) else same
        assert agrees(spoken(seed), kept), f"seed {seed}: {did(harness)}"
    assert only_harmless(way, engine)


def test_a_seed_does_the_same_again_and_each_call_something_else(way, tmp_path):
    with live(way, tmp_path, 3) as engine:
        first, again, other = (make(way, engine.url, "seed=5,garbage", number, 2.1) for number in (1, 1, 2))
    assert first.events == again.events
    assert first.events != other.events


def test_faults_after_the_end_of_a_short_call_are_reported(way, tmp_path):
    with live(way, tmp_path, 1) as engine:
        harness = make(way, engine.url, "seed=5,half_open", seconds=1.0)
    assert harness.events == [("chaos_skipped", {"acts": 1, "reason": "the call was too short"})]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("7", "write seed=NUMBER"),
        ("hold", "write seed=NUMBER"),
        ("seed=x", "write seed=NUMBER"),
        ("seed=7,hodl", 'did you mean "hold"?'),
        ("seed=7,earthquake", "there are dialect, no_stop"),
    ],
)
def test_what_cannot_be_meant_is_said_with_what_could(text, says, way):
    with pytest.raises(ValidationError, match=says.replace("?", r"\?")):
        way.sink.Config(chaos=text)


def test_a_spec_is_parsed():
    assert ChaosSpec.parse("seed=7") == ChaosSpec(7)
    assert ChaosSpec.parse(" seed = 7, hold,garbage,hold") == ChaosSpec(7, ("hold", "garbage"))
