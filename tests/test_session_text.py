"""Texts with attributes of the session: what they accept, and what they give."""

from datetime import UTC, datetime

import pytest

from flowcore import Session, SessionText


def session(**attributes: str) -> Session:
    return Session("flow", datetime(2026, 1, 2, tzinfo=UTC), attributes)


def test_attributes_are_put_in_and_a_text_without_any_stays():
    assert SessionText("Mr {last_name} of {town}").resolve(session(last_name="Beckett", town="Foxrock")) == (
        "Mr Beckett of Foxrock"
    )
    assert SessionText("RingCX").resolve(session()) == "RingCX"


@pytest.mark.parametrize("attributes", [{}, {"last_name": ""}, {"last_name": " \n"}])
def test_a_text_whose_attribute_has_no_value_is_empty(attributes):
    assert SessionText("Mr {last_name}").resolve(session(**attributes)) == ""


def test_a_value_of_the_peer_is_one_short_line():
    assert SessionText("{name}").resolve(session(name="a\nb\tc" + 100 * "d")) == "a b c" + 59 * "d"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no text with attributes"),
        ("{}", "its name alone"),
        ("{call_id:>9}", "its name alone"),
        ("{call_id!r}", "its name alone"),
        ("{a.b}", "its name alone"),
        (" ", "not empty"),
    ],
)
def test_other_braces_and_no_text_are_refused(text, says):
    with pytest.raises(ValueError, match=says):
        SessionText(text)
