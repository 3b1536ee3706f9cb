import pytest

from tools.error_rate import error_rate, normalised


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Press 1, please!", "press one please"),
        ("Your voicemail…", "your voice mail"),
        ("I’m here", "i'm here"),
        ("Extension 305", "extension three zero five"),
    ],
)
def test_what_sounds_alike_is_alike(one, other):
    assert normalised(one) == normalised(other)


def test_words_left_out_put_in_and_mistaken_are_counted():
    assert error_rate("one two three four", "one two three four") == 0
    assert error_rate("one two three four", "one four") == 0.5
    assert error_rate("one two three four", "one two to three for") == 0.5


def test_texts_together_have_the_error_rate_of_all_their_words():
    assert error_rate(["one two three", "four"], ["one two three", "for"]) == 0.25
