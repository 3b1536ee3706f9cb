from hypothesis import given
from hypothesis import strategies as st

from nodes.transcripts.plain import plain


def test_what_would_break_or_hide_a_line_is_one_space():
    assert plain(" a\r\n\x1b[31mb\u2028c\0  d\xa0 ") == "a [31mb c d"


def test_marks_that_turn_the_rest_of_a_line_around_are_left_out():
    assert plain("abc\u202edef\u2069") == "abcdef"


@given(st.text())
def test_it_is_one_line_that_stays_as_it_is(text):
    assert len(plain(text).splitlines()) <= 1
    assert plain(plain(text)) == plain(text)
