"""Conversion of telephone codecs to mu-law."""

import subprocess

import numpy as np
import pytest

from flowcore import BadMessage
from nodes.audio import g711
from nodes.audio.codecs import FromLinear, from_alaw, from_mulaw, mix

VOICE = (12000 * np.sin(np.arange(800) / 9)).astype(np.int16)


def sox(codes, kind):
    """The int16 samples of a telephone code by sox's own tables."""
    command = [
        "sox",
        "-D",
        "-t",
        kind,
        "-r",
        "8000",
        "-c",
        "1",
        "-",
        "-t",
        "raw",
        "-e",
        "signed",
        "-b",
        "16",
        "-L",
        "-",
    ]
    return np.frombuffer(subprocess.run(command, input=codes, capture_output=True, check=True).stdout, "<i2")


def test_mulaw_stays_as_it_is():
    assert from_mulaw(b"\x00\x7f\xff") == b"\x00\x7f\xff"


def test_every_alaw_code_becomes_mulaw_of_its_level():
    codes = bytes(range(256))
    meant = sox(codes, "al").astype(np.int32)
    heard = g711.decode(np.frombuffer(from_alaw(codes), np.uint8)).astype(np.int32)
    assert (np.abs(heard - meant) <= np.maximum(8, np.abs(meant) // 31)).all()  # a step of either code at that level
    assert (np.sign(heard) == np.sign(meant)).all()


@pytest.mark.parametrize("order", [">i2", "<i2"])
def test_linear_samples_of_either_byte_order_are_converted_even_after_silence(order):
    read = FromLinear()
    assert set(read(bytes(1600))) == {0xFF}
    for at in (0, 400):
        assert read(VOICE[at : at + 400].astype(order).tobytes()) == g711.encode(VOICE[at : at + 400]).tobytes()


def test_half_a_sample_is_refused():
    with pytest.raises(BadMessage, match="odd_payload"):
        FromLinear()(b"\x00\x00\x00")


def test_a_mix_is_the_sum_and_never_wraps():
    loud = g711.encode(np.full(8, 30000, np.int16)).tobytes()
    assert g711.decode(np.frombuffer(mix(loud, loud), np.uint8)).min() == 32124  # the code's largest
    assert mix(loud, loud[:4])[4:] == loud[4:]
    quiet = b"\xff" * 8
    assert mix(loud, quiet) == loud
