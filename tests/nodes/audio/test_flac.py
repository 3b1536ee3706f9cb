import numpy as np
import pytest
import soundfile

from nodes.audio import flac

RATES = [8000, 11025, 12345, 16000, 44100, 48000]


def growing(path, samples, rate=8000):
    """Write FLAC as its recorder leaves it: without a number of samples in the header."""
    soundfile.write(path, samples, rate, format="FLAC", subtype="PCM_16")
    with path.open("r+b") as file:
        file.seek(flac.STREAMINFO_START + 10)
        fields = int.from_bytes(file.read(8), "big")
        file.seek(flac.STREAMINFO_START + 10)
        file.write((fields & ~flac.SAMPLES_MASK).to_bytes(8, "big"))
    return path


def noise(frames, level=3000, seed=1):
    return (np.random.default_rng(seed).normal(size=frames) * level).clip(-32768, 32767).astype(np.int16)


@pytest.mark.parametrize("rate", RATES)
def test_each_length_of_the_last_frame_is_read(tmp_path, rate):
    for last in (*flac.BLOCK_SIZES.values(), 1, 15, 256 - 1, 256 + 1, 4096):
        samples = noise(4096 + min(last, 4096))
        path = growing(tmp_path / "x.flac", samples, rate)
        assert flac.finalize(path) == len(samples) / rate
        assert (soundfile.read(path, dtype="int16")[0] == samples).all()


@pytest.mark.fault(54)
def test_bytes_within_a_frame_that_look_like_a_header_are_no_frame(tmp_path):
    rng = np.random.default_rng(12139)
    for _ in range(60):  # quiet noise before silence is coded with many bytes of ones
        samples = noise(int(rng.integers(4000, 40_000)), level=3, seed=int(rng.integers(1 << 30)))
        samples[-1000:] = -8
        path = growing(tmp_path / "x.flac", samples)
        assert flac.finalize(path) == len(samples) / 8000


@pytest.mark.fault(54)
def test_a_false_header_with_a_right_checksum_is_no_frame(tmp_path):
    samples = noise(5000)
    path = growing(tmp_path / "x.flac", samples)
    data = path.read_bytes()
    block = int.from_bytes(data[flac.STREAMINFO_START : flac.STREAMINFO_START + 2], "big")
    header = b"\xff\xf8\xc4\x08\x7f"
    false = header + bytes([flac._crc8(header)])
    assert flac._samples_end(false + bytes(10), block) == 128 * 4096  # the header alone would be believed
    frame = flac._last_frame(data + false + bytes(10), block)
    assert (frame.end, frame.samples_end) == (len(data), 5000)


@pytest.mark.fault(54)
@pytest.mark.parametrize("cut", [1, 2, 100, 7000])
def test_a_torn_frame_is_cut_off_and_the_rest_is_whole(tmp_path, cut):
    samples = noise(20_000)
    path = growing(tmp_path / "x.flac", samples)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - cut)
    frames = round(flac.finalize(path) * 8000)
    assert frames == (16_384 if cut < 7000 else 12_288)
    assert (soundfile.read(path, dtype="int16")[0] == samples[:frames]).all()


def test_zeros_behind_the_last_frame_are_no_audio(tmp_path):
    samples = noise(9000)
    path = growing(tmp_path / "x.flac", samples)
    with path.open("ab") as file:
        file.write(bytes(4096))  # a power cut leaves blocks that were not written
    assert flac.finalize(path) == 9000 / 8000
    assert (soundfile.read(path, dtype="int16")[0] == samples).all()


def test_a_complete_file_keeps_every_byte(tmp_path):
    path = growing(tmp_path / "x.flac", noise(20_000))
    flac.finalize(path)
    before = path.read_bytes()
    assert flac.finalize(path) == 2.5
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "holds no audio"), (b"fLaC", "holds no audio"), (b"another program's file" * 10, "another program")],
)
def test_files_without_flac_are_refused_and_kept(tmp_path, content, says):
    path = tmp_path / "x.flac"
    path.write_bytes(content)
    with pytest.raises(flac.NotFlac, match=says):
        flac.finalize(path)
    assert path.read_bytes() == content
