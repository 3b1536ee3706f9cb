"""The converter against the nodes that convert the same audio in a graph."""

import numpy as np
import pytest

from flowcore import Audio
from flowcore.testing import joined, run, tone
from nodes.audio import g711
from nodes.speech.local.converter import DECODER_RATE, Converter
from nodes.transforms.resample import Resample


@pytest.mark.parametrize("encoding", ["mulaw", "s16"])
def test_it_is_what_the_nodes_decode_mulaw_and_resample_make(encoding):
    linear = [*tone("1s"), *tone("1s", start=12000)]  # with a hole
    coded = [chunk.replace(samples=g711.encode(chunk.samples), encoding="mulaw") for chunk in linear]
    if encoding == "mulaw":
        linear = [chunk.replace(samples=g711.decode(chunk.samples), encoding="s16") for chunk in coded]
    converter = Converter()
    chunks = coded if encoding == "mulaw" else linear
    made = [piece for chunk in chunks for piece in converter.convert(chunk)] + converter.finish()
    wanted = joined(run(Resample, {"rate": DECODER_RATE}, linear))
    assert np.array_equal(joined(made), wanted)
    assert {(piece.encoding, piece.rate, piece.track) for piece in made} == {("s16", DECODER_RATE, "agent")}


def test_what_has_the_rate_already_passes():
    chunk = Audio(np.arange(160, dtype=np.int16), "s16", DECODER_RATE, "agent", 320)
    converter = Converter()
    (same,) = converter.convert(chunk)
    assert same.samples is chunk.samples
    assert same.start == 320
    assert converter.finish() == []
