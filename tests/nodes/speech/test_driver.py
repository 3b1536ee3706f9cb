"""The transcript of one track: numbers, texts taken back, and lag."""

import numpy as np

from flowcore import Audio, Word
from nodes.speech.driver import MAX_ARRIVALS, TrackTranscript, Transcripts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def arrive(transcript: TrackTranscript, clock: Clock, start: float, when: float) -> None:
    clock.now = when
    transcript.arrived(Audio(np.zeros(800, np.uint8), "mulaw", 8000, "agent", round(start * 8000)))


def test_an_interim_text_comes_once_and_is_taken_back_if_there_were_no_words():
    transcript = TrackTranscript("agent", Clock())
    transcript.interim(0, 1, "one")
    transcript.interim(0, 1.5, "one")
    transcript.interim(0, 2, "one two")
    transcript.final(0, 2, "")
    transcript.final(2, 3, "")
    transcript.final(3, 4, "three")
    assert [(t.text, t.final, t.utterance) for t in transcript.take()] == [
        ("one", False, 0), ("one two", False, 0), ("", True, 0), ("three", True, 1)
    ]  # fmt: skip
    assert transcript.take() == []


def test_a_gap_is_an_utterance_without_words():
    transcript = TrackTranscript("agent", Clock())
    transcript.interim(0, 1, "so")
    transcript.gap(0, 5, "untranscribed")
    transcript.final(5, 6, "on")
    shown, gap, after = transcript.take()
    assert (gap.text, gap.final, gap.gap, gap.start, gap.end) == ("", True, "untranscribed", 0, 5)
    assert (shown.utterance, gap.utterance, after.utterance) == (0, 0, 1)


def test_lag_is_counted_from_the_arrival_of_the_audio_at_the_end_of_the_words():
    clock = Clock()
    transcript = TrackTranscript("agent", clock)
    for number in range(10):
        arrive(transcript, clock, number * 0.1, 10 + number)
    clock.now = 30.0
    transcript.final(0.0, 0.25, "a")  # its last sample came with the third chunk
    transcript.final(0.3, 0.4, "b")
    transcript.final(0.5, 1.0, "c")
    assert [text.lag for text in transcript.take()] == [30 - 12, 30 - 13, 30 - 19]


def test_no_text_ends_after_the_audio_whatever_its_provider_says():
    clock = Clock()
    transcript = TrackTranscript("agent", clock)
    arrive(transcript, clock, 0.0, 10.0)
    clock.now = 10.5
    transcript.interim(0.0, 0.12, "good")
    transcript.final(0.0, 0.12, "good bye", (Word("good", 0.0, 0.05), Word("bye", 0.06, 0.12)))
    texts = transcript.take()
    assert [(text.end, text.lag) for text in texts] == [(0.1, 0.5), (0.1, 0.5)]
    assert texts[1].words == (Word("good", 0.0, 0.05), Word("bye", 0.06, 0.1))


def test_the_number_of_remembered_arrivals_is_bounded():
    clock = Clock()
    transcript = TrackTranscript("agent", clock)
    for number in range(2 * MAX_ARRIVALS):
        arrive(transcript, clock, number * 0.1, number)
    assert len(transcript._arrivals) == MAX_ARRIVALS


def test_a_final_text_that_is_likely_to_be_wrong_is_uncertain():
    transcript = TrackTranscript("agent", Clock(), uncertain_below=0.5)
    transcript.interim(0, 1, "a little", confidence=0.1)  # its stability, which says nothing about its words
    transcript.final(0, 1, "a little", confidence=0.49)
    transcript.final(1, 2, "hello", confidence=0.5)
    transcript.final(2, 3, "from an engine that cannot tell")
    transcript.interim(3, 4, "taken back")
    transcript.final(3, 4, "", confidence=0.0)
    assert [text.uncertain for text in transcript.take()] == [False, True, False, False, False, False]


def test_transcripts_are_made_once_and_mark_below_the_same_confidence():
    transcripts = Transcripts(Clock(), 0.5)
    transcripts["agent"].final(0, 1, "well", confidence=0.4)
    assert [text.uncertain for text in transcripts["agent"].take()] == [True]
    assert list(transcripts) == ["agent"]
