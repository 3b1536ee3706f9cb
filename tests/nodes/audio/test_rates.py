import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from nodes.audio import rates


def heard(filter, *pieces):
    """All that comes out, as float64."""
    return np.concatenate([*(filter.feed(piece).copy() for piece in pieces), filter.finish()]).astype(float)


def noise(frames, channels=0):
    return np.random.default_rng(1).normal(0, 3000, (frames, channels) if channels else frames).astype(np.int16)


def test_doubling_is_flat_to_3700_hz_and_its_images_are_80_db_down_from_4220_hz():
    taps = rates.Doubler.TAPS
    impulse = np.zeros(16000)  # what one sample becomes: itself, and its part in those between; a second at 16 kHz
    impulse[1 : 2 * len(taps) : 2], impulse[len(taps)] = taps, 1
    spectrum = abs(np.fft.rfft(impulse))
    gain = 20 * np.log10(np.maximum(spectrum / spectrum[0], 1e-9))
    assert abs(gain[:3701]).max() < 0.001
    assert gain[4220:].max() < -80


def test_a_doubled_stream_keeps_the_samples_that_came_in_and_their_places():
    samples = noise(3000)
    out = heard(rates.Doubler(samples), samples)
    assert len(out) == 6000
    assert (out[0::2] == samples).all()


def test_doubling_agrees_with_libsoxr_on_what_telephones_carry():
    band = np.fft.rfft(noise(8000))
    band[3400:] = 0
    voice = np.fft.irfft(band).round().astype(np.int16)
    ours, theirs = heard(rates.Doubler(voice), voice), soxr.resample(voice.astype(float), 8000, 16000)
    assert abs(ours - theirs)[200:-200].max() < 2  # rounding to int16 is noise in all of the band


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 700), max_size=12), st.sampled_from([0, 2]))
def test_a_doubled_stream_is_the_same_to_the_bit_however_it_is_cut(sizes, channels):
    samples = noise(sum(sizes), channels)
    whole = heard(rates.Doubler(samples), samples)
    assert (heard(rates.Doubler(samples), *np.split(samples, np.cumsum(sizes)[:-1])) == whole).all()


@pytest.mark.parametrize("make", [lambda like: rates.Doubler(like), lambda like: rates.Soxr(8000, 16000, "HQ", like)])
def test_a_finished_filter_begins_a_new_stream(make):
    samples = noise(500)
    filter = make(samples)
    first = heard(filter, samples)
    assert (heard(filter, samples) == first).all()


def test_automatic_is_the_doubler_only_where_the_rate_doubles():
    def kind(*of):
        return type(rates.make_filter(*of, noise(1)))

    assert kind(8000, 16000, "auto") is kind(24000, 48000, "auto") is rates.Doubler
    assert kind(8000, 16000, "HQ") is kind(16000, 8000, "auto") is kind(44100, 16000, "auto") is rates.Soxr
    assert rates.lookahead(8000, 16000, "auto") == 0.006
    assert rates.lookahead(8000, 16000, "HQ") == rates.lookahead(8000, 48000, "auto") == 0.2
