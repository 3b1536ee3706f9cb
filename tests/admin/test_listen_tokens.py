"""Tokens for the audio of one call."""

import pytest

from flowcore.admin import listen_tokens
from flowcore.admin.listen_tokens import LIFETIME, Listening, ListenTokens

ONE = Listening("flow-1", "")


def test_a_token_opens_its_call_once():
    tokens = ListenTokens()
    token = tokens.issue(ONE, 0.0)
    assert tokens.take(token, 1.0) == ONE
    assert tokens.take(token, 1.0) is None


@pytest.mark.fault(95)
def test_a_token_is_of_no_use_after_some_seconds():
    tokens = ListenTokens()
    assert tokens.take(tokens.issue(ONE, 0.0), LIFETIME - 0.1) == ONE
    assert tokens.take(tokens.issue(ONE, 0.0), LIFETIME) is None


def test_unused_tokens_are_bounded(monkeypatch):
    monkeypatch.setattr(listen_tokens, "MAX_WAITING", 2)
    tokens = ListenTokens()
    first, *others = (tokens.issue(ONE, 0.0) for _ in range(3))
    assert tokens.take(first, 1.0) is None
    assert [tokens.take(token, 1.0) for token in others] == [ONE, ONE]


def test_what_is_no_token_opens_nothing():
    assert ListenTokens().take("", 0.0) is None
