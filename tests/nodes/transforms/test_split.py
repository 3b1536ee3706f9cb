import numpy as np

from flowcore import Audio, Format
from flowcore.testing import NodeHarness, tone
from nodes.transforms.split import Split


def test_split_separates_stereo_without_a_copy():
    frames = np.arange(320, dtype=np.int16).reshape(160, 2)
    harness = NodeHarness(Split).push(Audio(frames, "s16", 8000, "", 480)).end()
    (agent,), (customer,) = harness.ports["agent"], harness.ports["customer"]
    assert agent.samples.tolist() == frames[:, 0].tolist()
    assert customer.samples.tolist() == frames[:, 1].tolist()
    assert (agent.track, agent.start, customer.track, customer.start) == ("agent", 480, "customer", 480)
    assert np.shares_memory(agent.samples, frames)


def test_split_sends_each_track_to_its_output():
    agent, customer = tone("40ms", track="agent"), tone("60ms", track="customer")
    harness = NodeHarness(Split).push(*customer, *agent).end()
    assert harness.ports == {"agent": agent, "customer": customer}


def test_a_third_track_is_dropped_and_counted():
    harness = NodeHarness(Split).push(*tone("100ms", track="supervisor")).end()
    assert not any(harness.ports.values())
    assert dict(harness.dropped_chunks) == {"unknown_track": 5}


def test_split_gives_two_mono_outputs():
    mono = Format("audio", "s16", 16000, "mono")
    assert Split.gives(Split.Config(), Format("audio", "s16", 16000, "stereo")) == (mono, mono)
