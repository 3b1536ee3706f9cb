"""The echo of a party in the other one's channel is removed, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore import Audio
from flowcore.testing import NodeHarness, joined, tone
from nodes.transforms.echo_cancel import EchoCancel
from tests.support.echoes import call, echo, telephone, voice

AGENT = voice(8)
CUSTOMER = voice(8, seed=2, talking=(1.2, 2.2))
"""Takes turns with the agent, and speaks at the same time as well."""
SOFT = 20.0
"""Root mean square of s16 samples: -64 dB full scale. No word is recognised in less."""


def cancelled(agent, customer, chunk=800, start=0):
    return NodeHarness(EchoCancel).push(*call(agent, customer, chunk, start)).end()


def loudest(samples):
    """Root mean square of the loudest 20 ms."""
    return float(
        np.sqrt(np.mean(samples[: len(samples) // 160 * 160].reshape(-1, 160).astype(float) ** 2, axis=1)).max()
    )


def apart(samples, other):
    """The power of the difference, in dB of ``other``."""
    return 10 * np.log10(np.mean((samples - other.astype(float)) ** 2) / np.mean(other.astype(float) ** 2))


@pytest.mark.fault(75)
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.12, 0.15, 0.3, 0.5])
@pytest.mark.parametrize("level", [-10, -15, -25, -40, -50, -60])
def test_an_echo_is_silent_from_its_first_sample(delay, level):
    heard = telephone(echo(AGENT, delay, level))
    h = cancelled(AGENT, heard)
    assert loudest(joined(h.out, "customer")) < SOFT
    assert np.array_equal(joined(h.out, "agent"), AGENT)
    [(name, found)] = h.events
    assert (name, found["track"]) == ("echo_found", "customer")
    assert found["seconds"] == pytest.approx(delay, abs=0.005)


def test_the_echo_may_be_in_the_agents_channel():
    h = cancelled(telephone(echo(AGENT, 0.1, -20)), AGENT)
    assert loudest(joined(h.out, "agent")) < SOFT
    assert np.array_equal(joined(h.out, "customer"), AGENT)


@pytest.mark.parametrize("length", [0.000125, 0.04])
def test_an_echo_may_be_a_plain_copy_or_that_of_a_room(length):
    assert loudest(joined(cancelled(AGENT, telephone(echo(AGENT, 0.13, -20, length))).out, "customer")) < SOFT


@pytest.mark.fault(75)
@pytest.mark.parametrize("level", [-15, -25])
def test_a_party_that_speaks_at_the_same_time_is_heard_with_less_echo(level):
    heard = telephone(CUSTOMER + echo(AGENT, 0.13, level))
    h = cancelled(AGENT, heard)
    out, late = joined(h.out, "customer"), slice(len(AGENT) // 2, None)
    assert apart(out[late], CUSTOMER[late]) < apart(heard[late], CUSTOMER[late]) - 5
    assert np.array_equal(joined(h.out, "agent"), AGENT)


def test_both_channels_may_have_an_echo():
    agent, customer = telephone(AGENT + echo(CUSTOMER, 0.06, -20)), telephone(CUSTOMER + echo(AGENT, 0.15, -20))
    h = cancelled(agent, customer)
    late = slice(len(AGENT) // 2, None)
    for track, heard, said in (("agent", agent, AGENT), ("customer", customer, CUSTOMER)):
        assert apart(joined(h.out, track)[late], said[late]) < apart(heard[late], said[late]) - 5


@pytest.mark.fault(75)
def test_a_clean_call_passes_unchanged():
    h = cancelled(AGENT, CUSTOMER)
    assert np.array_equal(joined(h.out, "agent"), AGENT)
    assert np.array_equal(joined(h.out, "customer"), CUSTOMER)
    assert h.events == []


def test_two_channels_with_the_same_voice_pass_unchanged():
    h = cancelled(AGENT, AGENT)
    assert np.array_equal(joined(h.out, "agent"), AGENT)
    assert np.array_equal(joined(h.out, "customer"), AGENT)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3000), st.integers(1, 2500)), max_size=15))
def test_every_sample_of_a_call_without_echo_comes_out_at_its_place(pieces):
    h, ends = NodeHarness(EchoCancel), {"agent": 0, "customer": 0}
    given = []
    for agent, hole, frames in pieces:
        track, said = ("agent", AGENT) if agent else ("customer", CUSTOMER)
        start = ends[track] + hole
        given.append(Audio(np.resize(said, start + frames)[start:], "s16", 8000, track, start))
        ends[track] = start + frames
    h.push(*given).end()
    for track in ends:
        assert np.array_equal(joined(h.out, track), joined(given, track))
        assert sum(len(c.samples) for c in h.out if c.track == track) == sum(
            len(c.samples) for c in given if c.track == track
        )


@pytest.mark.parametrize("chunk", [160, 1000, 16000])
def test_the_length_of_chunks_changes_nothing(chunk):
    heard = telephone(CUSTOMER + echo(AGENT, 0.13, -20))
    assert np.array_equal(
        joined(cancelled(AGENT, heard, chunk).out, "customer"), joined(cancelled(AGENT, heard).out, "customer")
    )


@pytest.mark.fault(75)
@pytest.mark.parametrize("after", [(0.3, -15), (0.13, -30), (0.136, -15)])
def test_an_echo_that_changes_with_a_transfer_is_removed_again(after):
    half = len(AGENT) // 2
    heard = telephone(np.concatenate((echo(AGENT, 0.13, -15)[:half], echo(AGENT, *after)[half:])))
    out = joined(cancelled(AGENT, heard).out, "customer")
    assert loudest(out[half + 8000 :]) < SOFT
    assert loudest(out[half:]) <= loudest(heard[half:])


def test_an_echo_that_ends_leaves_the_party_alone():
    agent, customer = np.tile(AGENT, 2), np.tile(CUSTOMER, 2)
    half = len(AGENT)
    heard = np.concatenate((telephone(CUSTOMER + echo(AGENT, 0.13, -20)), CUSTOMER))
    out = joined(cancelled(agent, heard).out, "customer")
    assert apart(out[half + half // 2 :], customer[half + half // 2 :]) < -25


def test_after_a_hold_of_both_parties_the_echo_is_still_known():
    heard = telephone(echo(AGENT, 0.13, -20))
    h = NodeHarness(EchoCancel).push(*call(AGENT, heard), *call(AGENT, heard, start=8000 * 600)).end()
    assert loudest(joined([c for c in h.out if c.start >= 8000 * 600], "customer")) < SOFT
    assert len(h.events) == 1


def test_a_single_party_waits_for_no_other():
    h = NodeHarness(EchoCancel)
    for chunk in call(AGENT, AGENT[:0]):
        h.push(chunk)
        assert chunk.end - sum(len(c.samples) for c in h.out) <= 8000 + 160
    assert np.array_equal(joined(h.end().out), AGENT)


def test_a_party_on_hold_delays_the_other_by_less_than_a_block():
    h = NodeHarness(EchoCancel).push(*call(AGENT[:8000], CUSTOMER[:8000]))
    for chunk in call(AGENT, CUSTOMER[:0], start=8000):
        h.push(chunk)
    assert max(c.end for c in h.out if c.track == "agent") > chunk.end - 160


def test_a_party_that_joins_late_is_placed_and_its_echo_removed():
    late = np.concatenate((np.zeros(16000, np.int16), AGENT))
    heard = telephone(echo(late, 0.13, -20))
    chunks = [c for c in call(late, heard) if c.track == "customer" or c.start >= 16000]
    h = NodeHarness(EchoCancel).push(*chunks).end()
    assert loudest(joined(h.out, "customer")) < SOFT
    assert np.array_equal(joined(h.out, "agent"), late)


def test_a_soft_voice_waits_at_most_0_6_s_while_the_other_speaks():
    soft = voice(8, seed=2, level=300, talking=(0.0, 2.0))
    h = NodeHarness(EchoCancel)
    for chunk in call(AGENT, soft):
        h.push(chunk)
        if chunk.track == "customer":
            out = max((c.end for c in h.out if c.track == "customer"), default=0)
            assert chunk.end - out <= 0.62 * 8000
    assert np.array_equal(joined(h.end().out, "customer"), soft)


def test_16_khz_is_as_good():
    agent, heard = (np.repeat(s, 2) for s in (AGENT, telephone(echo(AGENT, 0.13, -20))))
    h = NodeHarness(EchoCancel)
    for at in range(0, len(agent), 1600):
        for track, samples in (("agent", agent), ("customer", heard)):
            h.push(Audio(samples[at : at + 1600], "s16", 16000, track, at))
    assert loudest(joined(h.end().out, "customer")) < SOFT


def test_a_third_track_passes():
    sound = tone("100ms", track="supervisor")
    assert NodeHarness(EchoCancel).push(*sound).end().out == sound
