from hypothesis import given
from hypothesis import strategies as st

from flowcore import Text
from nodes.transcripts.formats import one_line, text_line


def test_what_would_break_or_hide_a_line_is_one_space():
    assert one_line(" a\r\n\x1b[31mb\u2028c\0  d\xa0 ") == "a [31mb c d"


def test_marks_that_turn_the_rest_of_a_line_around_are_left_out():
    assert one_line("abc\u202edef\u2069") == "abcdef"


@given(st.text())
def test_it_is_one_line_that_stays_as_it_is(text):
    assert len(one_line(text).splitlines()) <= 1
    assert one_line(one_line(text)) == one_line(text)


def test_a_gap_is_shown_with_its_length_before_any_words():
    assert text_line(Text("agent", 1, 4.2, "", True, 0, gap="un\ntranscribed")) == "[un transcribed 3.2 s]"
    assert text_line(Text("agent", 4, 1, " a\nb", True, 0, gap="x")) == "[x 0.0 s] a b"
    assert text_line(Text("agent", 1, 2, "\0", True, 0)) == ""
