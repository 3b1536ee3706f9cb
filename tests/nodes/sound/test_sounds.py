import numpy as np
import pytest

from flowcore.testing import tone
from nodes.audio import g711
from nodes.sound.meter import Meter
from nodes.sound.sounds import SideBySide, by_party, level, linear


def head(encoding="s16", channels=1, **more):
    return {"track": "agent", "encoding": encoding, "channels": channels, **more}


def test_samples_of_every_encoding():
    wave = tone("20ms")[0].samples
    assert (linear(head(), wave.tobytes()) == wave).all()
    assert (linear(head("mulaw"), g711.encode(wave).tobytes()) == g711.decode(g711.encode(wave))).all()
    assert abs(linear(head("f32"), (wave / 32768).astype(np.float32).tobytes()) - wave).max() <= 1
    assert linear(head(channels=2), wave.tobytes()).shape == (80, 2)


def test_stereo_is_two_parties():
    parts = by_party(head(channels=2), np.array([[1, 2], [3, 4]], np.int16))
    assert [(party, list(samples)) for party, samples in parts] == [("agent", [1, 3]), ("customer", [2, 4])]


def test_levels():
    assert level(tone("100ms")[0].samples) == (pytest.approx(-9.0, abs=0.3), pytest.approx(-6.0, abs=0.3))
    assert level(np.zeros(10, np.int16)) == (float("-inf"), float("-inf"))


def ones(track, value, at, frames=100):
    return track, at, np.full(frames, value, np.int16)


def test_parties_are_put_side_by_side_by_their_positions():
    pair = SideBySide(100)
    out = [pair.add(*ones("agent", 1, 500)), pair.add(*ones("customer", 2, 500))]
    assert [len(frames) for frames in out] == [0, 100]
    assert (out[1] == [1, 2]).all()


def test_a_party_that_is_away_is_waited_for_a_second_and_then_silent():
    pair = SideBySide(100)
    out = np.concatenate([pair.add(*ones("agent", 1, at)) for at in range(0, 500, 100)])
    assert (out == [1, 0]).all()
    assert len(out) == 400
    assert len(pair.add(*ones("customer", 2, 0))) == 0  # too late for what is out
    assert (pair.rest() == [1, 0]).all()


def test_a_hole_of_both_is_silence_of_its_length():
    pair = SideBySide(100)
    whole = np.concatenate([pair.add(*ones(track, 1, at)) for at in (0, 300) for track in ("agent", "customer")])
    assert whole[:, 0].tolist() == [1] * 100 + [0] * 200 + [1] * 100


def shown(meter, now):
    from rich.console import Console

    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(meter.draw(now))
    return captured.get().splitlines()


def test_the_meter_shows_each_party():
    meter = Meter("call-1  voices")
    began = meter._drawn
    meter.hear("agent", -30.0, -20.0, began)
    meter.position = 61.5
    title, agent, customer, _ = shown(meter, began)
    assert title.split() == ["call-1", "voices", "01:01.5"]
    assert (agent.count("█"), agent.split()[-2:]) == (24, ["-30.0", "dB"])
    assert "▏" in agent
    assert customer.split()[-1] == "quiet"
    assert "█" not in customer


def test_a_peak_falls_and_a_party_that_stops_is_quiet():
    meter = Meter("x")
    began = meter._drawn
    meter.hear("agent", -30.0, -6.0, began)
    marks = [shown(meter, began + after)[1].find("▏") for after in (0.0, 0.2, 0.35)]
    assert marks == sorted(marks, reverse=True)
    assert len(set(marks)) == 3
    assert shown(meter, began + 9)[1].split()[-1] == "quiet"


def test_a_single_party_of_another_name_has_its_own_line():
    meter = Meter("x")
    meter.hear("mix", -10.0, -5.0, meter._drawn)
    lines = shown(meter, meter._drawn)
    assert [line.split()[0] for line in lines[1:-1]] == ["mix"]
