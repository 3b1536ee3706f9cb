"""Phrases become the tokens that the model writes for them."""

import pytest

from nodes.speech.engines.moonshine_files import BASE
from nodes.speech.engines.moonshine_tokens import END, Tokens

FILES = BASE.find() or pytest.skip("moonshine-cpp is for Linux on x86-64", allow_module_level=True)
TOKENS = Tokens((FILES / "tokenizer.bin").read_bytes())


@pytest.mark.parametrize(
    ("phrase", "parts"),
    [
        ("Digium", ["▁Dig", "ium"]),
        ("Erika Mustermann", ["▁E", "ri", "ka", "▁Must", "ermann"]),
        ("  O'Brien ", ["▁O", "'", "B", "rien"]),
    ],
)
def test_a_phrase_is_divided_as_the_model_divides_it(phrase, parts):
    assert [TOKENS.texts[token].decode() for token in TOKENS.encoded(phrase)] == parts


def test_a_phrase_with_letters_that_the_model_lacks_has_no_tokens():
    assert TOKENS.encoded("Łódź 🎈") == []
    assert TOKENS.encoded("") == []


def test_a_word_goes_on_with_letters_only():
    (comma,) = TOKENS.encoded("x,")[1:]
    begins, ends = TOKENS.encoded("Digium")
    assert [TOKENS.continues_word(token) for token in (begins, ends, comma, END)] == [False, True, False, False]
    assert [TOKENS.begins_word(token) for token in (begins, ends, comma, END)] == [True, False, False, False]
