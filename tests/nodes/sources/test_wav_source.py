import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from flowcore import Audio, CannotStart, Refused
from flowcore.engine.clock import VirtualClock
from flowcore.testing import GraphResult, joined, run_plan, silence, tone
from nodes.audio import wav
from nodes.sources.wav_source import WavSource
from tests.engine.nodes import Keep, KeepInThread, plan, step

AGENT = joined(tone("1s", hertz=300))
CUSTOMER = joined(tone("1s", hertz=500))


@pytest.fixture(autouse=True)
def _no_old_chunks():
    Keep.kept.clear()


def store(path: Path, *channels: np.ndarray, rate: int = 8000) -> str:
    with wave.open(str(path), "wb") as writer:
        writer.setparams((len(channels), 2, rate, 0, "NONE", ""))
        writer.writeframes(np.stack(channels, axis=1).tobytes())
    return str(path)


def play(sink: Any = Keep, queue: Any = None, **config: Any) -> GraphResult:
    return run_plan(plan(step("call", WavSource, **config), step("kept", sink, "call", queue=queue)))


def heard(flow: str = "", track: str | None = None) -> np.ndarray:
    return joined(chunks(flow), track)


def chunks(flow: str = "") -> list[Audio]:
    flow = flow or min(Keep.kept)
    return [kept for kept in Keep.kept[flow] if isinstance(kept, Audio)]


def test_stereo_file_is_agent_left_and_customer_right(tmp_path):
    play(path=store(tmp_path / "call.wav", AGENT, CUSTOMER))
    assert (heard(track="agent") == AGENT).all()
    assert (heard(track="customer") == CUSTOMER).all()
    assert {chunk.seconds for chunk in chunks()} == {0.02}
    assert [chunk.track for chunk in chunks()[:4]] == ["agent", "customer"] * 2


def test_mono_file_is_the_agent(tmp_path):
    play(path=store(tmp_path / "call.wav", AGENT))
    assert {chunk.track for chunk in chunks()} == {"agent"}
    assert (heard() == AGENT).all()


@pytest.mark.fault(72)
@pytest.mark.parametrize(
    "head",
    [
        lambda data: wav.header("s16", 8000, 2, len(data)),
        lambda data: b"RIFF\xff\xff\xff\xff" + wav.header("s16", 8000, 2, 0)[8:],  # of a recorder that streams
        lambda data: wav.header("s16", 8000, 2, 0),
        lambda data: wav.header("s16", 8000, 2),
    ],
)
def test_own_recordings_and_those_of_streaming_recorders_play_as_path_and_as_both_parties(tmp_path, head):
    data = np.stack([AGENT, CUSTOMER], axis=1).tobytes()
    (tmp_path / "x.wav").write_bytes(head(data) + data)
    for config in ({"path": f"{tmp_path}/x.wav"}, dict.fromkeys(("agent", "customer"), f"{tmp_path}/x.wav")):
        Keep.kept.clear()
        play(**config)
        assert (heard(track="agent") == AGENT).all()
        assert (heard(track="customer") == CUSTOMER).all()


def test_one_partys_file_is_enough(tmp_path):
    play(customer=store(tmp_path / "customer.wav", CUSTOMER))
    assert {chunk.track for chunk in chunks()} == {"customer"}


def test_shorter_party_is_padded_with_silence(tmp_path):
    play(agent=store(tmp_path / "agent.wav", AGENT), customer=store(tmp_path / "customer.wav", CUSTOMER[:1234]))
    assert (heard(track="agent") == AGENT).all()
    assert (heard(track="customer")[:1234] == CUSTOMER[:1234]).all()
    assert len(heard(track="customer")) == 8000
    assert not heard(track="customer")[1234:].any()


def test_files_at_other_rates_are_resampled(tmp_path):
    agent = store(tmp_path / "agent.wav", joined(tone("1s", hertz=300, rate=44100)), rate=44100)
    customer = store(tmp_path / "customer.wav", joined(tone("1s", hertz=500, rate=16000)), rate=16000)
    play(agent=agent, customer=customer)
    assert {chunk.rate for chunk in chunks()} == {8000}
    for track, original in (("agent", AGENT), ("customer", CUSTOMER)):
        error = heard(track=track).astype(int) - original
        assert np.abs(error[200:-200]).max() < 0.01 * 16384  # the ends ring, as of any filter


@pytest.mark.parametrize(("speed", "seconds"), [(1, 1.0), (4, 0.25), (0, 0.0)])
def test_call_lasts_as_long_as_its_audio_at_the_given_speed(tmp_path, speed, seconds):
    result = play(path=store(tmp_path / "call.wav", AGENT), speed=speed)
    assert result.seconds == pytest.approx(seconds, abs=0.05)  # the engine ends in slots of 20 ms
    assert result.flows[0].reason == "end_of_file"


def test_repeat_makes_one_long_call(tmp_path):
    play(path=store(tmp_path / "call.wav", AGENT[:1000]), repeat=3, speed=0)
    assert (heard() == np.tile(AGENT[:1000], 3)).all()
    assert [chunk.start for chunk in chunks()][6:9] == [960, 1000, 1160]


def test_concurrent_calls_have_their_own_flows(tmp_path):
    result = play(path=store(tmp_path / "call.wav", AGENT), calls=3)
    assert result.seconds == pytest.approx(1.0, abs=0.05)
    assert len(result.flows) == len(Keep.kept) == 3
    assert all((heard(flow) == AGENT).all() for flow in Keep.kept)


def test_full_speed_loses_no_audio_before_a_full_border(tmp_path):
    path = store(tmp_path / "call.wav", np.tile(AGENT, 20))
    result = play(KeepInThread, {"max": "100ms", "on_full": "block"}, path=path, speed=0)
    assert (heard() == np.tile(AGENT, 20)).all()
    assert not result.flows[0].failures


class Phone:
    """An engine of one flow, whose listener must wait from 0.5 s to 2 s, and which hangs up at ``until``."""

    def __init__(self, until: float = 99.0) -> None:
        self.clock = VirtualClock(0.0)
        self.until = until
        self.pushed: list[tuple[float, int]] = []
        self.reason = ""
        self.attributes: dict[str, str] = {}

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + seconds)

    async def slot(self) -> None:
        await self.sleep(0.02)

    def now(self) -> float:
        return self.clock.now()

    def accept(self, attributes: dict[str, str], address: str = "") -> Any:
        self.attributes = attributes
        return self

    paused = property(lambda self: 0.5 <= self.now() < 2)
    ended = property(lambda self: self.now() >= self.until)

    def push(self, chunk: Audio) -> None:
        self.pushed.append((self.now(), chunk.start))

    def end(self, reason: str) -> None:
        self.reason = reason


def on(phone: Any, **config: Any) -> None:
    phone.clock.run(WavSource(WavSource.Config(**config)).run(phone))


def test_file_continues_at_its_pace_after_a_wait(tmp_path):
    phone = Phone()
    on(phone, path=store(tmp_path / "call.wav", AGENT), chunk="100ms")
    times = [round(time, 1) for time, _ in phone.pushed]
    assert times == [0, 0.1, 0.2, 0.3, 0.4, 2.0, 2.1, 2.2, 2.3, 2.4]
    assert [start for _, start in phone.pushed] == list(range(0, 8000, 800))


def test_ended_flow_gets_no_more_audio(tmp_path):
    phone = Phone(until=0.3)
    on(phone, path=store(tmp_path / "call.wav", AGENT), chunk="100ms")
    assert [start for _, start in phone.pushed] == [0, 800, 1600]
    assert phone.reason == ""


def test_session_is_named_after_the_file(tmp_path):
    phone = Phone()
    on(phone, path=store(tmp_path / "lunch.wav", AGENT[:0]))
    assert phone.attributes == {"call_id": "lunch-1", "session_id": "1"}
    assert (phone.pushed, phone.reason) == ([], "end_of_file")


def test_a_refused_call_does_not_affect_the_others(tmp_path):
    phone, others = Phone(), {"1": Phone(), "3": Phone()}

    def accept(attributes: dict[str, str]) -> Any:
        if attributes["session_id"] == "2":
            raise Refused("full")
        return others[attributes["session_id"]]

    phone.accept = accept  # type: ignore[method-assign]
    on(phone, path=store(tmp_path / "call.wav", AGENT), calls=3)
    assert [(len(other.pushed), other.reason) for other in others.values()] == [(50, "end_of_file")] * 2


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            {"path": "missing.wav"},
            "path: cannot read missing.wav: No such file or directory; give the path",
        ),
        ({"agent": "."}, "agent: cannot read .: Is a directory; give the path of a WAV file"),
        ({"path": __file__}, "path: cannot read .*: it is no WAV file; give a WAV file"),
        ({"customer": "THREE"}, "customer: .* has 3 channels: give a mono file, or a stereo file with a party in each"),
        ({"path": "FLAC"}, "path: cannot read .*: it is a FLAC file; give a WAV file, as  ffmpeg -i IN .* makes one"),
    ],
)
def test_unreadable_file_names_field_and_fix(tmp_path, config, says):
    (tmp_path / "x.flac").write_bytes(b"fLaC" + bytes(60))
    given = {"THREE": store(tmp_path / "three.wav", AGENT, AGENT, CUSTOMER), "FLAC": f"{tmp_path}/x.flac"}
    with pytest.raises(CannotStart, match=says):
        on(Phone(), **{field: given.get(value, value) for field, value in config.items()})


@pytest.mark.parametrize("config", [{}, {"path": "a.wav", "agent": "b.wav"}])
def test_path_and_parties_exclude_each_other(config):
    with pytest.raises(ValidationError, match="give either path, or agent and customer"):
        WavSource.Config(**config)


def test_the_format_is_known_without_reading_a_file():
    config = WavSource.Config(path="missing.wav", rate="16kHz")
    assert str(WavSource.gives(config)) == "audio s16 16 kHz tracks"


def test_silence_is_played_too(tmp_path):
    play(path=store(tmp_path / "call.wav", joined(silence("100ms"))))
    assert len(heard()) == 800
