"""Requests of every kind that the OpenAPI document allows and forbids."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings

from tests.support.admin_api import SECRET

EXCLUDED = ("/v1/events", "/metrics")
"""The answer to the first has no end; the second needs the hub of a whole process."""
EXAMPLES = 30
"""Requests to each operation and of each kind."""


@pytest.mark.fault(85)
@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_any_request_is_answered_as_the_document_says(served, mode):
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    operations = [found.ok() for found in schema.exclude(path=list(EXCLUDED)).get_all_operations()]
    if mode is schemathesis.GenerationMode.NEGATIVE:  # probes have no parameters, not even a token
        operations = [one for one in operations if list(one.iter_parameters())]
    assert len(operations) == (8 if mode is schemathesis.GenerationMode.POSITIVE else 6)
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        def check(case):
            case.call_and_validate(base_url=served.url, headers={"Authorization": f"Bearer {SECRET}"})

        check()
