import msgspec

from flowcore import Text, Word


def test_text_has_no_length_in_a_queue():
    text = Text("agent", 1.0, 2.5, "hello", final=True, utterance=0)
    assert text.seconds == 0.0
    assert (text.confidence, text.words, text.lag, text.gap) == (None, (), None, "")
    assert (text.uncertain, text.language) == (False, "")


def test_a_word_without_a_confidence_has_no_field_for_it():
    assert msgspec.json.encode(Word("hello", 1.0, 1.5)) == b'{"text":"hello","start":1.0,"end":1.5}'
    assert Word("hello", 1.0, 1.5, 0.9).moved(2.0) == Word("hello", 3.0, 3.5, 0.9)
