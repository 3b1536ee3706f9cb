"""Requests of every kind that the OpenAPI document allows and forbids."""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from flowcore.admin import command_runner
from tests.support.admin_api import SECRET
from tests.support.asking import call

EXCLUDED = ("/v1/events", "/metrics", "/v1/audio")
"""The answer to the first has no end; the second needs the hub of a whole process, and the third a token of its own."""
PAUSE = 0.001
"""Seconds between two commands: the bound has a test of its own."""
EXAMPLES = 30
"""Requests to each operation and of each kind."""


@pytest.mark.fault(85)
@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_any_request_is_answered_as_the_document_says(live, served, mode, monkeypatch):
    monkeypatch.setattr(command_runner, "PACE", PAUSE)
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    operations = [found.ok() for found in schema.exclude(path=list(EXCLUDED)).get_all_operations()]
    if mode is schemathesis.GenerationMode.NEGATIVE:  # probes have no parameters, not even a token
        operations = [one for one in operations if list(one.iter_parameters())]
    assert len(operations) == (25 if mode is schemathesis.GenerationMode.POSITIVE else 23)
    for operation in sorted(operations, key=lambda one: one.method):  # "get" before "post"
        if operation.method == "post" and not live.engine.flows:
            call(live, "one")  # not before: a tap on a call has no end

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize="FLOWCORE_TEST_ORDER" not in os.environ,  # `make again` tries others
        )
        def check(case):
            case.call_and_validate(base_url=served.url, headers={"Authorization": f"Bearer {SECRET}"})

        check()
