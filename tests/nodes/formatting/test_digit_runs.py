"""Digits that are read one by one or in pairs become one word; two digits, and what may be a list, do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.formatting.digit_runs import DIGITS, TEENS, TENS
from nodes.formatting.written import written

WORDS = dict(zip(DIGITS.values(), DIGITS, strict=True))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("My number is five five five double two oh one.", "My number is 5552201."),
        ("Four, one, one, one, one, one, one, one.", "41111111."),  # as Moonshine writes them
        ("forty one eleven, forty one eleven, triple one two", "411141111112"),
        ("dial nine one one now", "dial 911 now"),
        ("double oh seven", "007"),
        ("extension double five", "extension 55"),
        ("room one oh one", "room 101"),
        ("Oh, one two three four", "Oh, 1234"),
        ("one two three four, oh", "1234, oh"),
        ("eight hundred five five five one two one two", "800 5551212"),
        ("call 4111 one one one one one two", "call 4111111112"),  # half of them written by the engine
        ("twenty four one one one", "24 111"),
    ],
)
def test_a_run_of_digits_is_one_word(said, expected):
    assert written(said)[0] == expected


@pytest.mark.parametrize(
    "said",
    [
        "one of them",
        "no one",
        "Oh I see.",
        "five, oh no",
        "one, two, three, testing",
        "two or three days",
        "It takes five six days.",
        "twenty four seven",
        "fifty fifty",
        "555 1212 is written already",
        "double trouble",
        "five. Five. Five.",
    ],
)
def test_other_words_stay_as_they_were_spoken(said):
    assert written(said)[0] == said


@given(st.text("0123456789", min_size=13, max_size=19), st.sampled_from([" ", ", ", "-"]))
def test_the_digits_of_a_card_are_one_word_however_they_are_divided(card, divider):
    assert written(f"It is {divider.join(WORDS[digit] for digit in card)}, thanks.")[0] == f"It is {card}, thanks."


@given(st.lists(st.integers(10, 99), min_size=7, max_size=9))
def test_the_digits_of_a_card_that_is_read_in_pairs_are_one_word(pairs):
    tens = {value: word for word, value in zip(TENS, range(20, 100, 10), strict=True)}
    said = " ".join(
        TEENS[n - 10] if n < 20 else f"{tens[n // 10 * 10]} {WORDS[str(n % 10)] if n % 10 else ''}" for n in pairs
    )
    assert written(said.strip())[0] == "".join(map(str, pairs))
