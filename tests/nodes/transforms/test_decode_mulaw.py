import numpy as np

from flowcore import Audio, Format
from flowcore.testing import NodeHarness
from nodes.transforms.decode_mulaw import DecodeMulaw


def test_decode_mulaw_keeps_position_track_and_length():
    harness = NodeHarness(DecodeMulaw)
    codes = np.array([0xFF, 0x7F, 0x80, 0x00], np.uint8)
    (heard,) = harness.push(Audio(codes, "mulaw", 8000, "customer", 320)).end().out
    assert heard.samples.tolist() == [0, 0, 32124, -32124]
    assert (heard.encoding, heard.rate, heard.track, heard.start) == ("s16", 8000, "customer", 320)


def test_decode_mulaw_changes_only_the_encoding_of_the_format():
    given = Format("audio", "mulaw", 8000, "tracks")
    assert DecodeMulaw.gives(DecodeMulaw.Config(), given) == Format("audio", "s16", 8000, "tracks")
