import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowcore import Audio
from flowcore.testing import joined, run, tone
from nodes.transforms.decode_mulaw import DecodeMulaw
from nodes.transforms.encode_mulaw import EncodeMulaw


def test_encode_mulaw_stays_within_half_a_step_of_the_sample():
    chunks = tone("1s")
    before = joined(chunks).astype(int)
    after = joined(run(DecodeMulaw, {}, run(EncodeMulaw, {}, chunks))).astype(int)
    assert (abs(after - before) <= (abs(before) + 132) / 32 + 4).all()


@given(st.binary(max_size=400))
def test_decoded_mulaw_comes_back_bit_by_bit(data: bytes):
    codes = np.frombuffer(data.replace(b"\x7f", b"\xff"), np.uint8)
    chunk = Audio(codes, "mulaw", 8000, "agent", 0)
    (back,) = run(EncodeMulaw, {}, run(DecodeMulaw, {}, [chunk]))
    assert back.samples.tobytes() == codes.tobytes()
