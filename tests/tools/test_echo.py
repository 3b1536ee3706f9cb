"""Words of an echo are not written, and those of a party that speaks at the same time are."""

import pytest

from tools.conditions import cancelled, echo, telephone
from tools.echo import heard
from tools.error_rate import error_rate, normalised
from tools.prompts import monologue, prompts

MODEL = "auto"


@pytest.mark.model
@pytest.mark.fault(75)
@pytest.mark.parametrize(("level", "words"), [(-15, 30), (-50, 1)])
def test_words_of_the_agent_that_come_back_are_not_written_as_the_customers(level, words):
    agent = telephone(monologue(prompts("n", "z")[:30:5], 1.0))
    back = telephone(echo(agent, 0.13, level))
    assert len(normalised(heard(back, MODEL)).split()) >= words
    assert heard(cancelled({"agent": agent, "customer": back})["customer"], MODEL) == ""


@pytest.mark.model
@pytest.mark.fault(75)
def test_the_customer_who_speaks_while_the_agents_echo_is_heard_loses_no_more_than_one_word_in_fifty():
    said = prompts("n", "z")[:20]
    customer = telephone(monologue(said[::2], 0.6))
    agent = telephone(monologue(said[1::2], 0.6))
    frames = min(len(agent), len(customer))
    both = telephone(customer[:frames] + echo(agent[:frames], 0.13, -15))
    out = cancelled({"agent": agent[:frames], "customer": both})["customer"]
    assert error_rate(heard(customer[:frames], MODEL), heard(out, MODEL)) <= 0.02
