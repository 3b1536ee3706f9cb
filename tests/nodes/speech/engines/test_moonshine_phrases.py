"""Phrases replace words that are almost as probable, and no others."""

import numpy as np
import pytest

from nodes.speech.engines import moonshine_phrases
from nodes.speech.engines.moonshine_files import BASE
from nodes.speech.engines.moonshine_model import MoonshineModel
from nodes.speech.engines.moonshine_phrases import PhraseSearch, Prediction, greedy
from nodes.speech.engines.moonshine_tokens import END, START, Tokens
from tools.prompts import prompts

soxr = pytest.importorskip("soxr")

VOCABULARY = ["", "", "", *"▁aeinps", "▁a", "▁i", "▁is", "▁p", "▁pe", "▁pen", "▁pi", "▁pin"]
TOKENS = Tokens(b"".join(bytes([len(text.encode())]) + text.encode() for text in VOCABULARY))
LIMIT = 8
TEXTS = {
    ("▁a", "▁pen", "▁is"): -1.0,
    ("▁a", "▁pin", "▁is"): -3.0,
    ("▁a", "▁pin", "s", "▁is"): -9.0,
    ("▁is", "▁is"): -4.0,
}
"""Texts of a small model with the logarithms of their probabilities, but for a constant."""


class Model:
    """Predicts the tokens of `TEXTS`; the past is the text so far."""

    def __init__(self):
        self.steps = 0

    def __call__(self, token, past):
        self.steps += 1
        text = (*past, VOCABULARY[token]) if token != START else ()
        weights = np.full(len(VOCABULARY), 1e-9)
        for known, log_probability in TEXTS.items():
            if known[: len(text)] == text:
                following = VOCABULARY.index(known[len(text)]) if len(known) > len(text) else END
                weights[following] += np.exp(log_probability)
        return Prediction(np.log(weights / weights.sum()), np.zeros(1), text)


def heard(*phrases):
    model = Model()
    steps = greedy(model, model(START, ()), LIMIT)
    model.steps = 0
    found = PhraseSearch(model, TOKENS, steps, LIMIT).run(phrases)
    return [VOCABULARY[step.token] for step in found], model.steps


def test_without_phrases_the_most_probable_text_stays():
    assert heard() == (["▁a", "▁pen", "▁is", ""], 0)


def test_a_phrase_is_written_where_it_is_almost_as_probable(monkeypatch):
    assert heard("pin")[0] == ["▁a", "▁pin", "▁is", ""]
    monkeypatch.setattr(moonshine_phrases, "PREFERENCE", np.exp(1.9))
    assert heard("pin")[0] == ["▁a", "▁pen", "▁is", ""]


def test_a_phrase_that_is_written_already_or_has_no_tokens_changes_nothing():
    assert heard("a", "pen", "łódź") == (["▁a", "▁pen", "▁is", ""], 0)


def test_a_phrase_of_several_words_counts_once():
    assert heard("a pin is", "pin")[0] == ["▁a", "▁pin", "▁is", ""]


def test_a_phrase_is_a_whole_word(monkeypatch):
    monkeypatch.setitem(TEXTS, ("▁a", "▁pin", "▁is"), -30.0)  # now "pins" is more probable than "pin"
    monkeypatch.setattr(moonshine_phrases, "PREFERENCE", np.exp(20))
    assert heard("pin")[0] == ["▁a", "▁pen", "▁is", ""]


def test_phrases_take_a_bounded_number_of_steps(monkeypatch):
    monkeypatch.setattr(moonshine_phrases, "MAX_EXTRA_STEPS", 0)
    assert heard("pin") == (["▁a", "▁pen", "▁is", ""], 0)


@pytest.mark.model
@pytest.mark.skipif(BASE.find() is None, reason="moonshine-cpp is for Linux on x86-64")
def test_the_model_hears_the_words_that_it_is_told_to_expect():
    model = MoonshineModel(BASE)
    (prompt,) = (one for one in prompts("c", "c") if one.name == "conf-invalidpin")
    samples = soxr.resample(prompt.samples, 8000, 16000)
    others = ("Erika Mustermann", "RingCX", "Fitzgerald", "invaded", "conferences", "star")
    assert model.decode(samples).text == "That pen is invalid for this conference."
    assert model.decode(samples, others).text == "That pen is invalid for this conference."
    expected = model.decode(samples, (*others, "pin"))
    assert expected.text == "That pin is invalid for this conference."
    assert [word.text for word in expected.words] == expected.text.split()
