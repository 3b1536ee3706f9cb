"""The measurement of speech recognition, and the word error rate of a part of the reported prompts."""

import json

import pytest

from nodes.speech.engines.moonshine_files import BASE
from tools import wer
from tools.wordless import wordless

ENGINE = {"use": "moonshine"}
needs_base = pytest.mark.skipif(BASE.find() is None, reason="moonshine-cpp is for Linux on x86-64")


def test_a_transcript_is_judged_by_its_final_texts_in_the_order_of_time(tmp_path, capsys):
    path = tmp_path / "call.jsonl"
    words = ["Ever", "tried.", "Ever", "failed.", "No", "matter.", "Try", "again.", "Fail", "again.", "Fail", "better."]
    events = [
        {"track": "customer", "start": 5, "text": " ".join(words[6:]), "final": True},
        {"track": "customer", "start": 1, "text": "something else", "final": False},
        {"track": "customer", "start": 1, "text": " ".join(words[:6]), "final": True},
    ]
    path.write_text("\n".join(json.dumps(event) for event in events))
    wer.main([str(path)])
    assert "customer  WER   0.0 %  of 12 words" in capsys.readouterr().out


@pytest.mark.model
@pytest.mark.parametrize(("model", "limit"), [("tiny", 0.08), pytest.param("base", 0.04, marks=needs_base)])
def test_word_error_rate_on_telephone_prompts_heard_two_at_a_time(model, limit, record_property):
    rate, words, _ = wer.measure({"use": "moonshine", "model": model}, "n", "z", every=3)
    record_property("figure", f"moonshine {model}, every third prompt n-z: WER {100 * rate:.1f} % of {words} words")
    assert words > 200
    assert rate <= limit


@needs_base
@pytest.mark.model
def test_word_error_rate_of_whole_prompts():
    rate, words = wer.measure_whole(ENGINE, "n", "z", every=3)
    assert words == 283
    assert rate <= 0.012


@needs_base
@pytest.mark.model
def test_a_measurement_tells_lags_cost_and_memory():
    _, _, heard = wer.measure(ENGINE, "n", "z", every=40, interim="1s")
    assert len(heard.lags) == len([text for text in heard.texts if text.final])
    assert len(heard.first_words) == len(heard.lags)
    assert all(first > 0 for first in [*heard.first_words, *heard.lags])
    assert 0 < heard.cost < 1
    assert 100 < heard.memory < 1000


@pytest.mark.model
def test_no_word_is_made_up_from_sounds_without_words():
    assert wer.Recognition(ENGINE, wordless(30)).texts == []
