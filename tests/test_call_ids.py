"""Ids of calls are compared as people write them."""

import pytest

from flowcore.call_ids import MAX_ID_CHARS, match, normalize_id


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


@pytest.mark.parametrize(("name", "found"), [("12", "exact"), ("1", "prefix"), ("FLOW", "prefix"), ("2", "")])
def test_an_id_is_matched_whole_or_from_its_beginning(name, found):
    assert match(name, ["flow-1", "12", "+9"]) == found
