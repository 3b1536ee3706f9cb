"""A prompt that comes back is told from words of it that were spoken."""

import pytest

from nodes.speech.engines.prompt import echoes, with_phrases

PROMPT = "Acme Router X200, Acme Switch; Erika Mustermann"


@pytest.mark.parametrize(
    "text",
    [PROMPT, PROMPT.lower(), "acme router x200 acme", "Router X200. Acme switch, Erika", "... " + PROMPT],
)
def test_the_prompt_or_a_long_run_of_its_words_is_an_echo(text):
    assert echoes(PROMPT, text)


@pytest.mark.parametrize(
    "text", ["", "...", "Acme Router", "Erika Mustermann", "Acme Switch X200 Router", "My Acme Router X200 Acme Switch"]
)
def test_a_few_words_of_it_or_others_between_them_are_none(text):
    assert not echoes(PROMPT, text)


def test_a_prompt_of_one_word_is_an_echo_as_a_whole():
    assert echoes("Acme", "acme.")
    assert not echoes("", "acme")
    assert not echoes("", "")


def test_phrases_are_listed_after_the_prompt():
    assert with_phrases("About routers.", ("Acme", "X200")) == "About routers. Acme, X200"
    assert with_phrases("", ("Acme",)) == "Acme"
    assert with_phrases("About routers.", ()) == "About routers."
