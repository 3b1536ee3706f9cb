"""The measurement of speech recognition, and the word error rate of a part of the reported prompts."""

import json

import numpy as np
import pytest

from tools import speech_load, wer
from tools.prompts import RATE, Prompt, conversation, monologue, prompts, wordless

ENGINE = {"use": "moonshine"}


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


def said(*lengths: float) -> list[Prompt]:
    return [Prompt(str(n), "", np.full(round(length * RATE), n + 1, np.int16)) for n, length in enumerate(lengths)]


def test_a_monologue_has_silence_around_each_prompt():
    assert [*monologue(said(0.001, 0.002), 0.0005)] == [0] * 4 + [1] * 8 + [0] * 4 + [2] * 16 + [0] * 4


def test_a_conversation_goes_by_turns():
    one, other = conversation(said(1, 2, 1), 0.5)
    assert len(one) == len(other) == 5.5 * RATE
    assert not np.any((one != 0) & (other != 0))
    assert {*np.unique(one)} == {0, 1, 3}
    assert {*np.unique(other)} == {0, 2}


def test_percentiles_of_lags():
    found = speech_load.lags("final", [n / 100 for n in range(100, 0, -1)])
    assert found == {"final texts": 100, "final lag": {"p50": 0.51, "p95": 0.96, "p99": 1.0}}
    assert speech_load.lags("interim", []) == {"interim texts": 0, "interim lag": {}}


def test_losses_of_all_nodes_are_summed_up():
    tally = {"chunks": 2, "seconds": 1.0}
    stats = {"nodes": {"a": {"dropped": {"overloaded": tally}}, "b": {"dropped": {"overloaded": tally, "x": tally}}}}
    assert speech_load.dropped(stats) == {"overloaded": 4, "x": 2}


def test_prompts_are_speech_with_its_words():
    tuned, reported = prompts("a", "m"), prompts("n", "z")
    assert len(tuned) > 50
    assert len(reported) > 50
    assert not {prompt.name for prompt in tuned} & {prompt.name for prompt in reported}
    assert all(len(prompt.samples) > RATE and len(prompt.text.split()) > 3 for prompt in (*tuned, *reported))


@pytest.mark.model
def test_word_error_rate_on_telephone_prompts_heard_two_at_a_time(record_property):
    rate, words, _ = wer.measure(ENGINE, "n", "z", every=3)
    record_property("figure", f"moonshine, every third prompt from n to z: WER {100 * rate:.1f} % of {words} words")
    assert words > 200
    assert rate <= 0.08


@pytest.mark.model
@pytest.mark.parametrize("name", ["silence", "idle pattern", "hiss, -54 dB", "noise, -26 dB", "hold music"])
def test_no_word_is_made_up_from(name):
    heard = wer.Recognition(ENGINE, {"agent": wordless(30)[name]})
    assert heard.texts == []


@pytest.mark.slow
@pytest.mark.model
def test_a_live_run_reports_how_late_texts_come(capsys):
    speech_load.main(["--channels", "2", "--seconds", "12", "--json"])
    result = json.loads(capsys.readouterr().out)
    assert result["channels"] == 2
    assert result["final texts"] >= 2
    assert result["interim texts"] >= 2
    assert 0 < result["final lag"]["p50"] < 12
    assert result["untranscribed"] == 0
    assert result["CPU of the core, %"] > 0
