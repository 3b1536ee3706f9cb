"""The node `format_text` in a graph: every field but text and words stays."""

import msgspec
import pytest

from flowcore import Text, Word
from flowcore.testing import NodeHarness
from nodes.transforms.format_text import FormatText

SAID = Text("agent", 1.0, 4.0, "Ten two, ten two.", True, 3, 0.9, lag=0.5, uncertain=True, language="en")


def test_a_text_is_written_and_its_other_fields_stay():
    words = (Word("twenty", 1.0, 1.5, 0.8), Word("two", 1.5, 2.0, 0.5))
    said = msgspec.structs.replace(SAID, text="twenty two", words=words)
    (out,) = NodeHarness(FormatText).push(said).out
    assert out == msgspec.structs.replace(said, text="22", words=(Word("22", 1.0, 2.0, 0.4),))


def test_interim_texts_are_written_too():
    said = msgspec.structs.replace(SAID, text="four one one", final=False)
    assert NodeHarness(FormatText).push(said).out[0].text == "411"


@pytest.mark.parametrize(("language", "text"), [("de", "vier one two three"), ("en-GB", "vier 123"), ("", "vier 123")])
def test_only_english_is_written_in_another_way(language, text):
    said = msgspec.structs.replace(SAID, text="vier one two three", language=language)
    assert NodeHarness(FormatText).push(said).out[0].text == text
