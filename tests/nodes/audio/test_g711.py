import numpy as np

from flowcore.audio import SILENCE
from nodes.audio import g711

# G.711 table 2a, in 14 bits: the first interval is 1 wide, 15 are 2 wide, and each further segment has 16 intervals of
# twice the width. The value that stands for an interval is its middle, 0 for the first.
WIDTHS = np.concatenate([[1], np.full(15, 2), np.repeat(2 ** np.arange(2, 9), 16)])
EDGES = np.concatenate([[0], np.cumsum(WIDTHS)])
MIDDLES = np.concatenate([[0], (EDGES[1:-1] + EDGES[2:]) // 2])


def test_decode_follows_table_2a_of_the_standard():
    assert EDGES[[1, 16, 32, 128]].tolist() == [1, 31, 95, 8159]  # as printed in the standard
    assert MIDDLES[[0, 1, 15, 16, 127]].tolist() == [0, 2, 30, 33, 8031]
    codes = np.arange(255, 127, -1, dtype=np.uint8)
    assert (g711.decode(codes) == 4 * MIDDLES).all()
    assert (g711.decode(codes & 0x7F) == -4 * MIDDLES).all()


def test_encode_puts_every_sample_into_its_interval():
    samples = np.arange(32768, dtype=np.int16)
    interval = np.minimum(np.searchsorted(EDGES, samples // 4, side="right") - 1, 127)
    assert (g711.encode(samples) == 255 - interval).all()
    assert (g711.encode(~samples) == 127 - interval).all()  # the 16-bit range split evenly around zero


def test_every_code_survives_a_round_trip_but_minus_zero():
    codes = np.arange(256, dtype=np.uint8)
    again = g711.encode(g711.decode(codes))
    assert again[0x7F] == SILENCE["mulaw"]
    assert (np.delete(again, 0x7F) == np.delete(codes, 0x7F)).all()


def test_strided_channels_are_coded_like_any_other():
    stereo = np.arange(-400, 400, dtype=np.int16).reshape(400, 2)
    assert (g711.encode(stereo[:, 1]) == g711.encode(stereo[:, 1].copy())).all()
    assert g711.encode(stereo).shape == (400, 2)
