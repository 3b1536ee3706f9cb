import pytest

from nodes.doctor.media import MAX_VALUES, Party, Tally, describe_counting, describe_segment_counting


def receive(numbers, interval=0.02, size=160):
    """Parties with these (perspective, number) pairs, and the steps from one to the next."""
    parties, together = {}, Tally()
    for index, (perspective, seq) in enumerate(numbers):
        parties.setdefault(perspective, Party()).receive(seq, size, size / 8000, index * interval)
        if index:
            together.add(seq - numbers[index - 1][1])
    return parties, together


def turns(first, second):
    return [pair for a, b in zip(first, second, strict=True) for pair in (("Participant", a), ("Conference", b))]


@pytest.mark.parametrize(
    ("numbers", "scheme"),
    [
        (turns(range(1, 50), range(1, 50)), "per perspective"),
        (turns(range(7, 56), range(900, 949)), "per perspective"),
        (turns(range(0, 98, 2), range(1, 99, 2)), "shared"),
        ([("Participant", n) for n in range(50)], "unknown: only one party sent audio"),
        ([("Participant", n) for n in range(0, 100, 2)], "in steps of 2: shared, or one party's is missing"),
        (turns(range(0, 5000, 160), range(0, 5000, 160)), "neither per perspective nor shared: see the steps"),
        ([], "unknown: too few messages"),
        (turns([1], [1]), "unknown: too few messages"),
    ],
)
def test_what_sequence_ids_count(numbers, scheme):
    assert describe_counting(*receive(numbers)) == scheme


def in_turns(first, second):
    return [pair for a, b in zip(first, second, strict=True) for pair in (("one", a), ("two", b))]


@pytest.mark.parametrize(
    ("numbers", "scheme"),
    [
        (in_turns(range(1, 50), range(7, 56)), "messages, per segment"),
        (in_turns(range(0, 98, 2), range(1, 99, 2)), "messages of all segments together"),
        (in_turns(range(0, 8000, 800), range(0, 8000, 800)), "bytes of audio, per segment"),
        (in_turns(range(0, 1000, 100), range(0, 1000, 100)), "milliseconds, per segment"),
        (in_turns(range(0, 70, 7), range(0, 70, 7)), "in steps of 7, per segment"),
        (in_turns([5] * 9, [5] * 9), "nothing: the number stands still"),
        (in_turns(range(9), range(0, 90, 10)), "each segment in its own way: see the steps"),
        ([("one", n) for n in range(9)], "messages, per segment"),
        ([("one", 1)], "unknown: too few messages"),
    ],
)
def test_what_the_numbers_of_segments_count(numbers, scheme):
    assert describe_segment_counting(*receive(numbers, 0.1, 800)) == scheme


def test_losses_and_swaps_do_not_hide_the_scheme():
    numbers = turns(range(1, 60), range(1, 60))
    del numbers[20:26], numbers[60]
    numbers[80], numbers[82] = numbers[82], numbers[80]
    assert describe_counting(*receive(numbers)) == "per perspective"


def test_pace_leaves_pauses_out():
    party = Party()
    for n in range(100):
        party.receive(n, 160, 0.02, n * 0.02 + (30.0 if n >= 50 else 0.0))
    assert party.pace == pytest.approx(1.0, abs=0.02)
    assert party.facts()["pauses_s"] == [30.0]
    assert party.seconds == 2.0


def test_pace_of_a_short_call_is_unknown():
    assert receive([("Participant", n) for n in range(5)])[0]["Participant"].facts()["pace"] is None


def test_tally_is_bounded():
    tally = Tally()
    for value in range(1000):
        tally.add(value)
    assert len(tally.counts) == MAX_VALUES + 1
    assert sum(tally.facts().values()) == 1000
