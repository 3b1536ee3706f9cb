"""Ids of calls are compared as people write them."""

import pytest

from flowcore.call_ids import MAX_ID_CHARS, matching, normalize_id


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        (" S-V-1F ", "s-v-1f"),
        ("+1 (222) 333-4444", "12223334444"),
        ("222.333.4444", "2223334444"),
        ("20261130T120000-ab12", "20261130t120000-ab12"),
        ("", ""),
        ("x" * 1000, "x" * MAX_ID_CHARS),
    ],
)
def test_variants_of_an_id_are_equal(text, normal):
    assert normalize_id(text) == normal


def test_an_exact_id_comes_before_the_beginning_of_another():
    calls = [["flow-1", "12"], ["flow-2", "123"], ["flow-3", "9"]]
    assert matching("12", calls) == [0]
    assert matching("1", calls) == [0, 1]
    assert matching("flow", calls) == [0, 1, 2]
    assert matching("7", calls) == []
