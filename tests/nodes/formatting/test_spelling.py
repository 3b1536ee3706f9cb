"""Letters that are spelled become one word; letters that are words, or a list, do not."""

import pytest

from nodes.formatting.written import written


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("my name is j o h n", "my name is JOHN"),
        ("J, o, h, n..", "JOHN."),  # this and the next as Moonshine writes them
        ("W. I. l. l. I. a. m..", "WILLIAM."),
        ("It is J-O-N, okay?", "It is JON, okay?"),
        ("d o u b l e u", "DOUBLEU"),
        ("M a double t h e double u", "MATTHEW"),
        ("S as in Sugar", "S"),
        ("B as in Bravo, o, b", "BOB"),
        ("is it f as in foxtrot or s as in sugar?", "is it F or S?"),
    ],
)
def test_a_spelled_word_is_one_word(said, expected):
    assert written(said)[0] == expected


@pytest.mark.parametrize(
    "said",
    [
        "I, I, I think",
        "plan B. I see",
        "options A, B, C or D",
        "a I a",
        "It is U.S.A. law.",
        "double or nothing",
        "B as in that",
        "A as in",
    ],
)
def test_other_letters_stay_as_they_were_spoken(said):
    assert written(said)[0] == said
