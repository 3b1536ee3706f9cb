"""The stand-in for Google itself: its language, and its rules as a plain client meets them."""

from itertools import pairwise

import grpc
import numpy as np
import pytest
from google.cloud.speech_v1.types import cloud_speech as v1
from google.cloud.speech_v2.types import cloud_speech as v2
from hypothesis import example, given
from hypothesis import strategies as st

from nodes.audio import g711
from tools.fake_google import LIMITS, FakeGoogle, Limits, StreamFault, mulaw
from tools.fake_google.rules import Refused, Rules
from tools.fake_google.stream import Recogniser
from tools.fake_google.words import Word, WordReader, silence, speak

WORDS = st.lists(st.tuples(st.integers(0, 64**3 - 1), st.integers(3, 30), st.integers(0, 900)), min_size=1, max_size=5)


def sentence(words):
    """Sound, and the words in it."""
    sound, expected = b"", []
    for number, cells, pause in words:
        sound += silence(pause / 8000)
        spoken = speak(number, cells * 0.005)
        expected.append(Word(number, len(sound), len(sound) + len(spoken)))
        sound += spoken
    return sound, expected


def listen(sound, cuts=()):
    reader, heard = WordReader(), []
    edges = [0, *sorted(cut % (len(sound) + 1) for cut in cuts), len(sound)]
    for start, end in pairwise(edges):
        heard += reader.read(sound[start:end])
    return heard, reader


@given(WORDS, st.lists(st.integers(0, 10**6), max_size=8))
def test_words_are_heard_with_their_times_however_the_sound_is_cut(words, cuts):
    sound, expected = sentence(words)
    heard, reader = listen(sound, cuts)
    assert heard == expected
    assert reader.broken == 0
    assert reader.position == len(sound)


@given(WORDS, st.integers(0, 10**6), st.sampled_from(["lost", "twice", "other"]))
@example([(0, 3, 0), (0, 3, 0), (0, 6, 0)], 406, "other")  # how many cells there are, with all else as it was
@example([(0, 3, 0)], 119, "twice")
def test_a_byte_that_is_wrong_costs_its_word_and_no_other(words, at, wrong):
    sound, expected = sentence(words)
    sound += silence(0.01)
    at %= len(sound)
    middle = {"lost": b"", "twice": sound[at : at + 1] * 2, "other": bytes([sound[at] ^ 1])}[wrong]
    heard, reader = listen(sound[:at] + middle + sound[at + 1 :])
    # The first byte of a word twice is a byte before the word, the last one a byte after it.
    twice = wrong == "twice"
    hit = [word for word in expected if word.start + twice <= at < word.end - twice]
    assert [word.number for word in heard] == [word.number for word in expected if word not in hit]
    assert reader.broken >= len(hit)


def test_words_survive_linear_samples():
    sound = mulaw([(7, 0.1, 0.4), (262143, 0.5, 0.6)], 1.0)
    assert g711.encode(g711.decode(np.frombuffer(sound, np.uint8))).tobytes() == sound


def test_a_pause_ends_an_utterance_and_the_end_of_the_audio_the_last_one():
    recogniser = Recogniser()
    sound = mulaw([(1, 0.1, 0.4), (2, 0.4, 0.6), (3, 1.5, 1.8)], 1.9)
    results = [heard for at in range(0, len(sound), 800) for heard in recogniser.read(sound[at : at + 800])]
    results += recogniser.end()
    told = [([word.number for word in heard.words], heard.final, heard.end) for heard in results]
    assert told == [
        ([1], False, 0.4),
        ([1, 2], False, 0.6),
        ([1, 2], True, pytest.approx(1.1)),
        ([3], False, 1.8),
        ([3], True, 1.9),
    ]


@pytest.mark.parametrize("version", [1, 2])
def test_a_stream_may_last_so_long_and_rest_so_long(version):
    rules = Rules(version, LIMITS[version], now=100.0)
    rules.check(109.9, half_closed=False)
    with pytest.raises(Refused, match=r"Timeout|timed out"):
        rules.check(110.0, half_closed=False)
    rules.check(110.0, half_closed=True)
    with pytest.raises(Refused, match=r"305 seconds|5 minutes"):
        rules.check(100 + LIMITS[version].longest, half_closed=True)


def test_audio_may_come_twice_as_fast_and_somewhat_in_advance():
    rules = Rules(2, Limits(300, burst=5, pace=2), now=0.0)
    for second in range(60):
        rules.audio(float(second), 8000, 1.0)
        rules.audio(second + 0.5, 8000, 1.0)
    rules.audio(60.0, 8000, 5.0)
    with pytest.raises(Refused, match="too fast"):
        rules.audio(60.0, 8000, 1.0)


def raw(address, version, *requests):
    """Return what a bare client gets for these requests: the words, then the status."""
    types = v1 if version == 1 else v2
    with grpc.insecure_channel(address) as channel:
        call = channel.stream_stream(
            f"/google.cloud.speech.v{version}.Speech/StreamingRecognize",
            request_serializer=types.StreamingRecognizeRequest.serialize,
            response_deserializer=types.StreamingRecognizeResponse.deserialize,
        )(iter(requests), timeout=30)
        texts = []
        try:
            for response in call:
                texts += [result.alternatives[0].transcript for result in response.results if result.is_final]
        except grpc.RpcError as error:
            return texts, error.code().name, error.details()
        return texts, "OK", ""


def first(version, **changes):
    if version == 1:
        config = {"encoding": "MULAW", "sample_rate_hertz": 8000, "language_code": "en-US", **changes}
        return v1.StreamingRecognizeRequest(streaming_config={"config": config})
    decoding = {"encoding": "MULAW", "sample_rate_hertz": 8000, "audio_channel_count": 1}
    config = {"explicit_decoding_config": decoding, "language_codes": ["en-US"], **changes}
    return v2.StreamingRecognizeRequest(
        recognizer="projects/p/locations/l/recognizers/_", streaming_config={"config": config}
    )


def audio(version, data):
    if version == 1:
        return v1.StreamingRecognizeRequest(audio_content=data)
    return v2.StreamingRecognizeRequest(audio=data)


@pytest.mark.parametrize("version", [1, 2])
def test_the_first_request_is_the_configuration_and_the_others_are_not(version):
    sound = audio(version, mulaw([(5, 0.0, 0.3)]))
    with FakeGoogle() as google:
        assert raw(google.address, version, first(version), sound) == (["w5"], "OK", "")
        for wrong in ([sound], [], [first(version), first(version)], [first(version), audio(version, b"")]):
            assert raw(google.address, version, *wrong)[1] == "INVALID_ARGUMENT"
        no_language = {"language_code": ""} if version == 1 else {"language_codes": []}
        assert raw(google.address, version, first(version, **no_language), sound)[1] == "INVALID_ARGUMENT"
    assert [stream.outcome for stream in google.streams] == ["OK"] + ["INVALID_ARGUMENT"] * 5
    assert google.live == 0


def test_a_fault_comes_at_its_time():
    with FakeGoogle(fault=lambda number: StreamFault("DATA_LOSS", 0.5, "gone") if number == 1 else None) as google:
        sound = [audio(2, mulaw([], 0.25))] * 4
        assert raw(google.address, 2, first(2), *sound)[1:] == ("OK", "")
        assert raw(google.address, 2, first(2), *sound)[1:] == ("DATA_LOSS", "gone")
    assert [stream.seconds for stream in google.streams] == [1.0, 0.5]


def test_a_recording_that_it_writes_is_one_that_it_understands(tmp_path, monkeypatch, capsys):
    import wave

    from tools.fake_google.__main__ import main

    path = tmp_path / "agent.wav"
    monkeypatch.setattr("sys.argv", ["fake_google", "--write", str(path), "--seconds", "10", "--first", "7"])
    assert main() == 0
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (1, 8000, 80_000)
        samples = np.frombuffer(file.readframes(80_000), "<i2")
    heard, _ = listen(g711.encode(samples).tobytes())
    assert [word.number for word in heard] == list(range(7, 7 + 15))
    assert "words w7 to w21" in capsys.readouterr().out
