import io
import struct
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from nodes.audio import g711, wav

SAMPLES = np.array([[0, 1], [-1, 256], [32767, -32768], [12345, -12345]], np.int16)


def riff(tag: int, bits: int, data: bytes, *, channels: int = 2, size: int | None = None, extra: bytes = b"") -> bytes:
    """A WAV file from the specification, chunk by chunk, to check the reader against."""
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, 16000, 16000 * frame, frame, bits) + extra
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"LIST\x03\0\0\0abc\0"
    body += b"data" + struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def from_stdlib(samples: np.ndarray, rate: int = 8000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((samples.shape[1], 2, rate, 0, "NONE", ""))
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def test_header_is_what_the_stdlib_writes():
    data = SAMPLES.tobytes()
    assert wav.header("s16", 8000, 2, len(data)) + data == from_stdlib(SAMPLES)


@pytest.mark.parametrize("size", [None, 0, 0xFFFFFFFF, 0x7FFF0000])
def test_unfinished_file_is_read_to_its_end(size):
    rate, samples = wav.decode(riff(wav.PCM, 16, SAMPLES.tobytes(), size=size))
    assert rate == 16000
    assert samples.tolist() == SAMPLES.tolist()


def test_finished_empty_file_is_not_read_on_into_its_tags():
    tagged = bytearray(from_stdlib(SAMPLES[:0]) + b"LIST\x04\0\0\0abcd")
    tagged[4:8] = struct.pack("<I", len(tagged) - 8)
    rate, samples = wav.decode(bytes(tagged))
    assert (rate, samples.shape) == (8000, (0, 2))


def test_half_a_frame_at_the_end_is_left_out():
    _, samples = wav.decode(riff(wav.PCM, 16, SAMPLES.tobytes()[:-1]))
    assert samples.tolist() == SAMPLES[:-1].tolist()


def test_every_sample_format_gives_the_same_sound():
    flat = SAMPLES.ravel()
    extensible = b"\x16\0\x10\0\x03\0\0\0\x01\0" + bytes.fromhex("000000001000800000AA00389B71")
    files = {
        "24 bits": riff(wav.PCM, 24, b"".join(b"\x7f" + struct.pack("<h", value) for value in flat)),
        "32 bits": riff(wav.PCM, 32, (flat.astype("<i4") * 65536 + 99).tobytes()),
        "float": riff(wav.FLOAT, 32, (flat / 32768).astype("<f4").tobytes()),
        "double": riff(wav.FLOAT, 64, (flat / 32768).astype("<f8").tobytes()),
        "extensible": riff(wav.EXTENSIBLE, 16, flat.tobytes(), extra=extensible),
    }
    for name, file in files.items():
        assert wav.decode(file)[1].tolist() == SAMPLES.tolist(), name


def test_eight_bits_and_mulaw():
    assert wav.decode(riff(wav.PCM, 8, bytes([0, 128, 255, 129])))[1].ravel().tolist() == [-32768, 0, 32512, 256]
    codes = np.arange(256, dtype=np.uint8)
    assert wav.decode(riff(wav.MULAW, 8, codes.tobytes()))[1].ravel().tolist() == g711.decode(codes).tolist()


def test_alaw_is_what_libsndfile_reads(tmp_path):
    codes = np.arange(256, dtype=np.uint8)
    (tmp_path / "x.wav").write_bytes(riff(wav.ALAW, 8, codes.tobytes(), channels=1))
    samples = wav.decode((tmp_path / "x.wav").read_bytes())[1][:, 0]
    assert samples.tolist() == soundfile.read(tmp_path / "x.wav", dtype="int16")[0].tolist()


@pytest.mark.fault(72)
@pytest.mark.parametrize("name", [b"RF64", b"BW64"])
@pytest.mark.parametrize("told", [True, False])
def test_files_for_more_than_4_gib_are_read_up_to_their_tags(name, told):
    data = SAMPLES.tobytes()
    sizes = struct.pack("<QQQI", 0, len(data) if told else 0, len(SAMPLES), 0)
    file = bytearray(riff(wav.PCM, 16, data, size=0xFFFFFFFF) + b"LIST\x04\0\0\0abcd" * told)
    file[:12] = name + b"\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes
    assert wav.decode(bytes(file))[1].tolist() == SAMPLES.tolist()


def test_rf64_is_read_as_libsndfile_writes_it(tmp_path):
    soundfile.write(tmp_path / "x.wav", SAMPLES, 8000, format="RF64", subtype="PCM_16")
    assert wav.decode((tmp_path / "x.wav").read_bytes())[1].tolist() == SAMPLES.tolist()


@pytest.mark.fault(72)
@pytest.mark.parametrize(
    ("file", "says"),
    [
        (b"fLaC" + bytes(60), "it is a FLAC file"),
        (b"RIFX" + bytes(60), "it is a big-endian WAV file"),
        (riff(17, 4, b"12345678"), r"its format is not supported \(IMA ADPCM, 4 bits, 2 channels at 16000 Hz\)"),
        (riff(999, 4, b"12345678"), r"its format is not supported \(format 999, 4 bits"),
    ],
)
def test_what_is_not_read_is_named(file, says):
    with pytest.raises(wav.NotWav, match=says):
        wav.decode(file)


def test_float_beyond_full_scale_is_clipped():
    values = np.array([1.0, 2.0, -2.0, np.nan, np.inf, -np.inf], "<f4")
    _, samples = wav.decode(riff(wav.FLOAT, 32, values.tobytes(), channels=1))
    assert samples.ravel().tolist() == [32767, 32767, -32768, 0, 32767, -32768]


@given(st.binary() | st.binary().map(lambda tail: riff(1, 16, b"")[:20] + tail))
@example(b"")
@example(riff(wav.PCM, 16, b"")[:40])
@example(riff(wav.PCM, 12, b"12345678"))
@example(riff(85, 8, b"mp3"))
@example(b"RF64" + riff(wav.PCM, 16, b"")[4:12] + b"ds64\x04\0\0\0abcd" + riff(wav.PCM, 16, b"12345678")[12:])
@example(riff(wav.PCM, 16, b"", channels=0))
def test_any_bytes_are_read_or_refused(data):
    try:
        rate, samples = wav.decode(data)
    except wav.NotWav:
        return  # as it says it may
    assert rate
    assert samples.dtype == np.int16


@given(st.integers(0, 300), st.integers(1, 2), st.sampled_from(["s16", "mulaw"]), st.integers(0, 3))
def test_finalize_gives_a_growing_file_its_sizes(tmp_path_factory, frames, channels, encoding, torn):
    width = wav.ENCODINGS[encoding][1]
    whole = bytes(range(256)) * 5
    data = whole[: frames * channels * width]
    part = tmp_path_factory.mktemp("killed") / "x.wav.part"
    part.write_bytes(wav.header(encoding, 8000, channels) + data + whole[: torn % (channels * width)])
    wav.finalize(part)
    content = part.read_bytes()
    assert content == wav.header(encoding, 8000, channels, len(data)) + data + b"\0" * (len(data) % 2)
    assert int.from_bytes(content[4:8], "little") == len(content) - 8


@pytest.mark.fault(36)
def test_finalize_leaves_a_complete_file_unchanged(tmp_path):
    for encoding, data in (("s16", b"abcd"), ("mulaw", b"abc")):
        healthy = wav.header(encoding, 8000, 1, len(data)) + data + b"\0" * (len(data) % 2)
        (tmp_path / "x.wav").write_bytes(healthy)
        wav.finalize(tmp_path / "x.wav")
        assert (tmp_path / "x.wav").read_bytes() == healthy


def test_finalize_of_a_file_killed_before_its_header_is_an_empty_recording(tmp_path):
    (tmp_path / "x.wav.part").write_bytes(b"RIFF")
    wav.finalize(tmp_path / "x.wav.part")
    with wave.open(str(tmp_path / "x.wav.part")) as reader:
        assert reader.getnframes() == 0


@pytest.mark.parametrize(
    "other",
    [
        b"RIFF" + b"\0" * 60,
        riff(wav.PCM, 16, b"12345678"),
        wav.header("s16", 8000, 1, 8)[:34] + b"\x08\0" + wav.header("s16", 8000, 1, 8)[36:] + b"12345678",  # 8 bits
        b"#!/bin/sh\n" * 9,
    ],
)
def test_file_of_another_program_is_not_touched(tmp_path, other):
    (tmp_path / "x.wav.part").write_bytes(other)
    with pytest.raises(wav.NotWav):
        wav.finalize(tmp_path / "x.wav.part")
    assert (tmp_path / "x.wav.part").read_bytes() == other
