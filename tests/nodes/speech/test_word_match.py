"""Comparing words, and the rest of a text after known words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.speech.word_match import continuation, normalized


@pytest.mark.parametrize(
    ("said", "heard", "rest"),
    [
        ("Try again.", "Try again. Fail again.", "Fail again."),
        ("Try again.", "try again, fail again, fail better.", "Fail again, fail better."),
        ("Yes.", "Yes — yes, please.", "Yes, please."),
        ("Fail again.", "Fare again, fail better.", ""),  # it begins otherwise: nobody knows what is new
        ("Try again.", "Try again.", ""),
        ("Try again.", "Try", ""),
        ("It's two.", "Its two, three.", "Three."),
        ("", "Hello.", "Hello."),
        ("...", "Hello.", "Hello."),
    ],
)
def test_the_continuation_of_known_words(said, heard, rest):
    assert continuation(said, heard) == rest


WORDS = st.lists(st.sampled_from(["yes", "no", "again", "fail", "better"]), max_size=6)


@given(WORDS, WORDS, st.sampled_from([". ", ", ", " "]))
def test_no_word_is_lost_and_none_is_said_twice(said, new, pause):
    rest = continuation(" ".join(said), pause.join([*said, *new]))
    assert [normalized(word) for word in rest.split()] == new
