import numpy as np
import pytest

from flowcore import Audio, Format
from flowcore.testing import NodeHarness, run
from nodes.transforms.mix import Mix


@pytest.mark.parametrize(("halve", "wanted"), [(False, [3, 32767, -32768, 0]), (True, [1, 30000, -30000, 0])])
def test_both_channels_are_added_and_clipped(halve, wanted):
    frames = np.array([[1, 2], [30000, 30000], [-30000, -30000], [7, -7]], np.int16)
    (mixed,) = run(Mix, {"halve": halve}, [Audio(frames, "s16", 8000, "", 40)])
    assert mixed.samples.tolist() == wanted
    assert (mixed.samples.dtype, mixed.start, mixed.track) == (np.int16, 40, "mix")


def test_the_mix_has_one_channel():
    assert Mix.gives(Mix.Config(), Format("audio", "s16", 8000, "stereo")).layout == "mono"


def test_halving_may_begin_in_mid_call():
    frames = Audio(np.array([[1000, 2000]], np.int16), "s16", 8000, "", 0)
    harness = NodeHarness(Mix).push(frames).set(halve=True).push(frames).set(halve=False).push(frames)
    assert [mixed.samples.tolist() for mixed in harness.out] == [[3000], [1500], [3000]]
