"""The numbers of one counter: the next, the lost, the late and the repeated one, and another count."""

import pytest

from flowcore import Packet
from nodes.jitterbuffer.sequence import Sequencer
from tests.support.ordering import Log, ordered, run_of


def test_steps_of_two_that_turn_out_to_be_steps_of_one():
    sent = f"{run_of('a', range(1, 20, 2))} a20 a21 a22"
    assert ordered(sent).lines == sent.split()


@pytest.mark.parametrize("back", [2, 49, 51, 400])
def test_repeats_from_any_time_are_dropped(back):
    start = run_of("a", range(500))
    log = ordered(f"{start} a{500 - back} a500 a501 a502")
    assert log.lines == run_of("a", range(503)).split()
    assert log.dropped_lines == ["-duplicate"]


def test_number_from_before_the_first_is_late():
    log = ordered(f"{run_of('a', range(10, 30))} a9 a30")
    assert log.lines == run_of("a", range(10, 31)).split()
    assert log.dropped_lines == ["-late"]


@pytest.mark.parametrize("numbers", [(3, 4, 5), (4, 3, 5), (5, 4, 3)])
def test_three_that_agree_start_a_new_count(numbers):
    log = ordered(run_of("a", range(900, 920)) + "".join(f" a{number}" for number in numbers))
    assert log.lines[-4:] == ["!sequence_restarted", "a3", "a4", "a5"]
    assert not log.dropped_lines


def test_a_new_count_may_use_a_number_that_was_lost():
    log = ordered(f"a1 a2 a3 a4 {run_of('a', range(6, 90))} a3 a4 a5 a6")
    assert log.lines[-5:] == ["!sequence_restarted", "a3", "a4", "a5", "a6"]


def test_a_new_count_may_overtake_the_end_of_the_old():
    log = ordered(f"{run_of('a', range(900, 920))} a0 a920 a1 a2 a3")
    assert log.lines[-5:] == ["!sequence_restarted", "a0", "a1", "a2", "a3"]
    assert log.lines[-6] == "a920"


def test_a_few_repeats_in_a_row_start_no_new_count():
    log = ordered(f"{run_of('a', range(500))} {run_of('a', range(470, 479))} {run_of('a', range(500, 510))}")
    assert log.lines == run_of("a", range(510)).split()
    assert log.dropped_lines == ["-duplicate"] * 9


def test_one_wild_number_does_not_change_the_step():
    log = ordered(f"{run_of('a', range(1, 41, 2))} a500000 {run_of('a', range(41, 61, 2))}")
    assert log.lines == run_of("a", range(1, 61, 2)).split()
    assert log.dropped_lines == ["-stray"]


def test_two_that_agree_start_no_new_count():
    log = ordered(f"{run_of('a', range(900, 920))} a3 a4 {run_of('a', range(920, 930))}")
    assert log.lines == run_of("a", range(900, 930)).split()
    assert len(log.dropped_lines) == 2


def test_what_waits_when_the_count_starts_anew_is_not_lost():
    log = ordered(f"{run_of('a', range(900, 920))} a921 a3 a4 a5")
    assert log.lines[-6:] == ["?a", "a921", "!sequence_restarted", "a3", "a4", "a5"]


def test_skip_late_fills_at_once():
    log = ordered(f"{run_of('a', range(10))} a12 a10 a11 a13", wait=False)
    assert log.lines[10:] == ["?a", "?a", "a12", "a13"]
    assert log.dropped_lines == ["-late", "-late"]


@pytest.mark.parametrize("length", [160, 800, 4000])
def test_one_packet_may_be_overtaken_however_long_packets_are(length):
    log = Log()
    sequencer = Sequencer(log, log, window=0.12, wait=True, jump=5)
    for number in [*range(20), 21, 20, *range(22, 30)]:
        sequencer.push(Packet("a", number, bytes([number]) * length, 0.1 if number < 20 else 0.2))
    sequencer.flush()
    assert log.lines == run_of("a", range(30)).split()
