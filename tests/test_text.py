from flowcore import Text


def test_text_has_no_length_in_a_queue():
    text = Text("agent", 1.0, 2.5, "hello", final=True, utterance=0)
    assert text.seconds == 0.0
    assert (text.confidence, text.words, text.lag, text.gap) == (None, (), None, "")
