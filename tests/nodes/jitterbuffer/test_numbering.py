"""What the first numbers of a call count."""

import random

import pytest

from flowcore import Packet
from nodes.jitterbuffer.numbering import Numbering, learn

NOISE = random.Random(3).randbytes(100_000)


def learnt(text: str, length: int = 160) -> Numbering:
    """Learn from packets written as ``a1 c1 a2``, each track's at the pace of speech."""
    heard: dict[str, int] = {}
    packets = []
    for at, name in enumerate(text.split()):
        heard[name[0]] = heard.get(name[0], 0) + 1
        data = NOISE[at * length : (at + 1) * length]
        packets.append(Packet(name[0], int(name[1:]), data, heard[name[0]] * length / 8000))
    return learn(packets)


def turns(first: int, second: int, step: int, packets: int = 6) -> str:
    return " ".join(f"a{first + number * step} c{second + number * step}" for number in range(packets))


@pytest.mark.fault(69)
@pytest.mark.parametrize("step", [3, 20, 160, 320])
@pytest.mark.parametrize("apart", [0, 1, 2, 64_530])
def test_a_step_of_each_party_is_named_wherever_the_parties_begin(step, apart):
    scheme = learnt(turns(1000, 1000 + apart, step))
    assert scheme.unknown in (f"steps of {step}", "samples" if step == 160 else "milliseconds" if step == 20 else "")
    assert scheme.unknown


@pytest.mark.fault(69)
@pytest.mark.parametrize("step", [3, 20, 160, 320])
def test_a_step_that_all_share_is_named(step):
    assert learnt(turns(0, step, 2 * step)).unknown == f"steps of {step}"


def test_steps_of_which_some_are_missing_are_named_by_what_they_have_in_common():
    assert learnt("a0 a6 a15 a18 a27 a30").unknown == "steps of 3"


@pytest.mark.parametrize("step", [1, 2])
def test_parties_that_take_turns_share_a_counter(step):
    assert learnt(turns(10, 10 + step, 2 * step)) == Numbering(shared=True, stride=step)


def test_parties_that_take_turns_share_a_counter_also_where_some_are_lost():
    assert learnt("a0 c2 a4 a8 c10 a12") == Numbering(shared=True, stride=2)


@pytest.mark.parametrize("step", [1, 2])
def test_equal_numbers_of_both_parties_are_counters_of_their_own(step):
    assert learnt(turns(10, 10, step)) == Numbering(stride=step)


def test_a_step_of_three_among_steps_of_two_is_no_counter_by_two():
    assert learnt("a0 a2 a5 a7").stride == 1


@pytest.mark.fault(69)
@pytest.mark.parametrize(
    "numbers", ["a0 c2 a7 a10", "a0 a7 c2 a10 c9 a15", "a4 a9 a12 a18 a22 a26 a34 c65531", "a3 c4 a7 c9 a12 c10"]
)
@pytest.mark.parametrize("length", [160, 800])
def test_steps_that_are_too_long_for_the_pace_of_the_packets_wait_for_more(numbers, length):
    scheme = learnt(numbers, length)
    assert not scheme.certain
    assert not scheme.unknown or scheme.unknown == "irregular"


def test_repeats_of_a_unique_number_can_be_told_and_others_cannot():
    assert learnt("a7 a7 a7 a7") == Numbering(unknown="constant", unique=False)
    assert learnt(turns(0, 0, 320)).unique
