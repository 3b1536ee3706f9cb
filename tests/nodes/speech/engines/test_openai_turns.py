"""Turns of a realtime session: which audio is sent, and in which order the texts come out."""

import numpy as np
import pytest

from nodes.speech.engines.openai_turns import Turn, TurnCutter, TurnTexts
from tests.nodes.speech.engines.loud_voices import LoudVoices

LOUD, QUIET = b"\x80", b"\xff"
PROMPT = "Acme Router X200 and Acme Switch"


def cut(*parts: bytes, piece: int = 800):
    """The pieces of mu-law audio that comes in chunks."""
    cutter, sound = TurnCutter(LoudVoices(), "mulaw", 8000), b"".join(parts)
    pieces = [found for at in range(0, len(sound), piece) for found in cutter.push(sound[at : at + piece])]
    return cutter, [*pieces, *cutter.finish()]


def audio_of(pieces, turn):
    return b"".join(piece.audio for piece in pieces if piece.turn is turn)


def test_each_turn_is_its_voice_with_a_little_silence_around_and_one_commit():
    _, pieces = cut(QUIET * 16000, LOUD * 8000, QUIET * 16000, LOUD * 4000, QUIET * 16000)
    turns = [piece.turn for piece in pieces if piece.last]
    assert [(turn.start, turn.end) for turn in turns] == [
        (pytest.approx(2, abs=0.05), pytest.approx(3, abs=0.05)),
        (pytest.approx(5, abs=0.05), pytest.approx(5.5, abs=0.05)),
    ]
    for turn, samples in zip(turns, (8000, 4000), strict=True):
        sound = audio_of(pieces, turn)
        assert sound.count(LOUD) == samples
        assert sound.strip(QUIET) == LOUD * samples
        assert len(sound) - samples <= 1.2 * 8000


@pytest.mark.parametrize("piece", [1, 160, 4000, 64000])
def test_no_sample_depends_on_how_the_audio_is_cut(piece):
    sound = (QUIET * 8000, LOUD * 8000, QUIET * 8000)
    _, pieces = cut(*sound, piece=piece)
    _, usual = cut(*sound)
    assert b"".join(one.audio for one in pieces) == b"".join(one.audio for one in usual)


def test_silence_is_not_sent_and_not_kept():
    cutter, pieces = cut(QUIET * 80_000)
    assert pieces == []
    assert cutter.quiet_to == pytest.approx(10, abs=1)
    assert len(cutter._held) <= 8000


def test_a_call_that_ends_in_a_word_commits_it():
    _, pieces = cut(QUIET * 8000, LOUD * 3000)
    assert [piece.last for piece in pieces][-1]
    assert audio_of(pieces, pieces[0].turn).endswith(LOUD * 3000)


def texts_of(*turns: Turn) -> TurnTexts:
    texts = TurnTexts(PROMPT)
    for turn in turns:
        texts.add(turn)
    return texts


def test_texts_come_out_in_the_order_of_the_turns():
    texts = texts_of(Turn(0, 1, 1.0), Turn(2, 3, 1.0))
    texts.committed("a")
    texts.committed("b")
    assert texts.completed("b", "two") == []
    assert [(result.text, result.start, result.end) for result in texts.completed("a", " one ")] == [
        ("one", 0, 1),
        ("two", 2, 3),
    ]
    assert not texts


def test_words_may_come_before_the_turn_is_committed():
    texts = texts_of(Turn(0, 1, 1.0))
    texts.add(Turn(2, 3, 1.0))
    assert texts.grown("a", "one").text == "one"
    assert texts.grown("a", " two").text == "one two"
    assert texts.grown("b", "later") is None  # an interim text is that of the first turn
    texts.committed("a")
    assert [result.text for result in texts.completed("a", "one two")] == ["one two"]
    assert texts.grown("b", " on").text == "later on"


def test_an_item_that_no_turn_made_is_ignored():
    texts = TurnTexts("")
    assert texts.completed("x", "words") == []
    assert texts.grown("x", "words") is None


@pytest.mark.parametrize(("voice", "text"), [(0.5, ""), (2.0, PROMPT)])
def test_a_prompt_that_is_too_fast_to_be_spoken_is_no_text(voice, text):
    (result,) = texts_of(Turn(0, 1, voice)).completed("a", PROMPT)
    assert result.text == text


def test_linear_audio_is_sent_as_it_came():
    samples = np.concatenate([np.zeros(24000), np.full(24000, 5000), np.zeros(24000)]).astype("<i2").tobytes()
    cutter = TurnCutter(LoudVoices(), "s16", 24000)
    pieces = [found for at in range(0, len(samples), 4800) for found in cutter.push(samples[at : at + 4800])]
    sound = b"".join(piece.audio for piece in [*pieces, *cutter.finish()])
    assert np.frombuffer(sound, "<i2").tolist().count(5000) == 24000
