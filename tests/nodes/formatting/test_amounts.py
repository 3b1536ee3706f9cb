"""Numbers with their units, and those from 10 on; what can be read in two ways stays as it was spoken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.formatting.digit_runs import ONES, TEENS, TENS
from nodes.formatting.written import written

SMALL = (*ONES, *TEENS)


def spoken(number):
    """An independent speller: the words of a number below a billion."""
    for value, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= value:
            rest = number % value
            joined = f" and {spoken(rest)}" if 0 < rest < 100 else f" {spoken(rest)}" if rest else ""
            return f"{spoken(number // value)} {name}{joined}"
    if number < 20:
        return SMALL[number]
    return TENS[number // 10 - 2] + (f"-{ONES[number % 10]}" if number % 10 else "")


@given(st.integers(10, 999_999_999))
def test_a_number_is_written_as_it_was_before_it_was_spoken(number):
    digits = f"{number:,}" if number >= 10_000 else str(number)
    assert written(f"We have {spoken(number)} of them.")[0] == f"We have {digits} of them."


@given(st.integers(1, 9_999), st.integers(1, 99))
def test_an_amount_of_money_is_written_as_it_was_before_it_was_spoken(dollars, cents):
    said = f"That is {spoken(dollars)} dollars and {spoken(cents)} cents."
    assert written(said)[0] == f"That is ${dollars}.{cents:02}."


@given(st.integers(1, 12), st.integers(10, 59), st.sampled_from(["a", "p"]))
def test_a_time_is_written_as_it_was_before_it_was_spoken(hour, minute, half):
    assert written(f"at {spoken(hour)} {spoken(minute)} {half} m")[0] == f"at {hour}:{minute} {half}.m."


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("twenty twenty four", "2024"),
        ("since nineteen oh five", "since 1905"),
        ("two thousand and six", "2006"),
        ("a hundred and five", "105"),
        ("a hundred and five and six", "105 and six"),
        ("sixty-five hundred", "6500"),
        ("twenty-five-year-old", "25-year-old"),
        ("ten to fifteen", "10 to 15"),
        ("the fifty fifth street", "the 55th street"),
        ("three point one four", "3.14"),
        ("zero point five percent", "0.5%"),
        ("a hundred percent, five per cent", "100%, 5%"),
        ("a hundred dollars, one dollar, five cents", "$100, $1, 5 cents"),
        ("twelve euros fifty cents", "€12.50"),
        ("a five dollar bill", "a $5 bill"),
        ("seven oh five a.m. is early", "7:05 a.m. is early"),
        ("Come at three, p m.. Or at three p.m.", "Come at three, p m.. Or at 3 p.m."),
        ("At three, okay? At three p. M..", "At three, okay? At 3 p.m."),
        ("at three p m I left", "at 3 p.m. I left"),
        ("Three o'clock.", "3 o'clock."),
        ("December twenty-fifth, twenty twenty-five", "December 25th, 2025"),
        ("the second of may or May fifth or june six", "the 2nd of may or May 5th or june 6"),
    ],
)
def test_numbers_are_written_with_their_units(said, expected):
    assert written(said)[0] == expected


@pytest.mark.parametrize(
    "said",
    [
        "I have one.",
        "wait a second, first of all",
        "you may first say which",
        "It costs two fifty.",
        "half past three",
        "thirty two one",
        "One hundred, twenty, three dollars.",
        "two point five million dollars",
        "twenty twenty five dollars",
        "thanks a million, a hundred times",
        "two thirds",
    ],
)
def test_what_can_be_read_in_two_ways_or_is_small_stays_as_it_was_spoken(said):
    assert written(said)[0] == said
