"""Words of an echo are not written, and those of a party that speaks at the same time are."""

import pytest

from tools import echo
from tools.error_rate import error_rate, normalised
from tools.prompts import monologue, prompts

MODEL = "auto"


@pytest.mark.model
@pytest.mark.fault(75)
@pytest.mark.parametrize(("level", "words"), [(-15, 30), (-50, 1)])
def test_words_of_the_agent_that_come_back_are_not_written_as_the_customers(level, words):
    agent = echo.telephone(monologue(prompts("n", "z")[:30:5], 1.0))
    heard = echo.telephone(echo.echo(agent, 0.13, level))
    assert len(normalised(echo.heard(heard, MODEL)).split()) >= words
    assert echo.heard(echo.cancelled(agent, heard)[0], MODEL) == ""


@pytest.mark.model
@pytest.mark.fault(75)
def test_the_customer_who_speaks_while_the_agents_echo_is_heard_loses_no_more_than_one_word_in_fifty():
    said = prompts("n", "z")[:20]
    customer = echo.telephone(monologue(said[::2], 0.6))
    agent = echo.telephone(monologue(said[1::2], 0.6))
    frames = min(len(agent), len(customer))
    both = echo.telephone(customer[:frames] + echo.echo(agent[:frames], 0.13, -15))
    out, _ = echo.cancelled(agent[:frames], both)
    assert error_rate(echo.heard(customer[:frames], MODEL), echo.heard(out, MODEL)) <= 0.02
