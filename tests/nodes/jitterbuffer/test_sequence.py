"""Numbers only: what the sequencer takes for the next, the lost, the late and the repeated one."""

import pytest

from flowcore import Packet
from nodes.jitterbuffer.sequence import Held, Sequencer


class Log:
    """Writes down what it hears: ``a5`` for a packet, ``?ac`` for one lost of agent or customer; ``-`` for drops."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.dropped_lines: list[str] = []

    def follow(self, packet: Packet) -> None:
        self.lines.append(f"{packet.track}{packet.seq}")

    def lost(self, held: Held, count: int) -> None:
        self.lines += ["?" + "".join(held)] * count

    def too_early(self, held: Held, count: int) -> bool:
        return False

    def jumped(self, held: Held, count: int) -> bool:
        return False

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        self.dropped_lines.append(f"-{reason}")

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        raise AssertionError("the sequencer makes nothing up")

    def event(self, event: str, **data: object) -> None:
        self.lines.append(f"!{event}")


def ordered(text: str, *, wait: bool = True, spacing: float = 0.01) -> Log:
    """Play packets written as ``a1 c1 a2``, 20 ms each, one every ``spacing`` seconds."""
    log = Log()
    sequencer = Sequencer(log, log, window=0.12, wait=wait, jump=5)
    for at, name in enumerate(text.split()):
        sequencer.push(Packet(name[0], int(name[1:]), bytes(160), at * spacing))
    sequencer.flush()
    return log


def run_of(track: str, numbers: range) -> str:
    return " ".join(f"{track}{number}" for number in numbers)


def pairs(numbers: range) -> str:
    return " ".join(f"a{number} c{number}" for number in numbers)


@pytest.mark.parametrize(
    ("story", "sent", "heard"),
    [
        ("own counters", "a1 c1 a2 c2 a3 c3", "a1 c1 a2 c2 a3 c3"),
        ("one counter", "a1 c2 a3 c4 a5 c6", "a1 c2 a3 c4 a5 c6"),
        ("one counter, swapped", "a1 a3 c2 c4 c6 a5", "a1 c2 a3 c4 a5 c6"),
        ("one counter, lost", "a1 c2 a3 a5 c6 a7 c8", "a1 c2 a3 ?ac a5 c6 a7 c8"),
        ("own counters, lost", "a1 c1 a2 a3 c3 a4 c4", "a1 c1 a2 a3 a4 ?c c3 c4"),
        ("own counters by two, lost", "a1 c1 a3 c3 a5 c5 a7 a9 c9", "a1 c1 a3 c3 a5 c5 a7 a9 ?c c9"),
        ("own counters far apart", "a1 c90 a2 c91 a3 c92", "a1 c90 a2 c91 a3 c92"),
        ("steps of two", "a1 a3 a5 a9", "a1 a3 a5 ?a a9"),
        ("a step that is no multiple of three", "a1 a4", "a1 ?a ?a a4"),
        ("bursts of one counter", "a1 a2 a3 c4 c5 c6 a8", "a1 a2 a3 c4 c5 c6 ?ac a8"),
    ],
)
def test_what_the_numbers_count_is_learnt(story, sent, heard):
    assert " ".join(ordered(sent).lines) == heard, story


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


def test_a_gap_on_one_counter_does_not_stop_the_other():
    log = ordered(f"{pairs(range(1, 10))} a11 c10 c11 c12")
    assert log.lines[18:] == ["c10", "c11", "c12", "?a", "a11"]


def test_the_other_tracks_arrivals_end_the_wait():
    log = ordered(f"{pairs(range(1, 10))} a11 {run_of('c', range(10, 30))}", spacing=0.02)
    assert log.lines[18:27] == [*run_of("c", range(10, 16)).split(), "?a", "a11", "c16"]


def test_skip_late_fills_at_once():
    log = ordered(f"{run_of('a', range(10))} a12 a10 a11 a13", wait=False)
    assert log.lines[10:] == ["?a", "?a", "a12", "a13"]
    assert log.dropped_lines == ["-late", "-late"]


def test_shared_guess_is_corrected_without_loss():
    sent = f"{run_of('a', range(1, 20))} c20 a20 c21 a21 c22 a22"
    assert ordered(sent).lines == sent.split()


def test_equal_numbers_on_both_tracks_after_a_burst_correct_the_guess():
    sent = f"{run_of('a', range(1, 4))} {run_of('c', range(4, 7))} a4 c7 a5 c8 a6 c9"
    log = ordered(sent)
    assert log.lines == sent.split()
    assert not log.dropped_lines


def test_odd_and_even_numbers_are_counters_of_their_own_once_one_track_goes_on_alone():
    log = ordered(f"{' '.join(f'a{at} c{at + 1}' for at in range(1, 40, 2))} {run_of('a', range(41, 81, 2))}")
    assert log.lines[-20:] == run_of("a", range(41, 81, 2)).split()
    assert not log.dropped_lines


def test_odd_and_even_numbers_are_counters_of_their_own_once_a_track_comes_back():
    alone, back = run_of("a", range(41, 81, 2)), " ".join(f"a{at} c{at - 39}" for at in range(81, 121, 2))
    log = ordered(f"{' '.join(f'a{at} c{at + 1}' for at in range(1, 40, 2))} {alone} {back}", spacing=0.02)
    assert [line for line in log.lines if line.startswith("c")] == run_of("c", range(2, 82, 2)).split()
    assert not log.dropped_lines


def test_a_track_that_counts_more_slowly_has_a_counter_of_its_own():
    sent = [name for at in range(30) for name in (f"a{4 * at}", f"a{4 * at + 2}", f"c{2 * at + 1}")]
    log = ordered(" ".join(sent), spacing=0.02 / 3)
    assert sorted(line for line in log.lines if line[0] in "ac") == sorted(sent)
    assert not log.dropped_lines


@pytest.mark.parametrize(("lost", "swapped"), [([], False), ([26], False), ([27, 28], False), ([], True)])
def test_a_track_that_joins_a_shared_counter_is_seen_to_although_packets_are_lost_or_overtaken(lost, swapped):
    sent = [f"a{number}" for number in range(1, 26)]
    sent += [f"{'ac'[number % 2]}{number}" for number in range(26, 80) if number not in lost]
    if swapped:
        at = next(at for at, name in enumerate(sent) if name[0] == "c")
        sent[at : at + 2] = reversed(sent[at : at + 2])
    log = ordered(" ".join(sent))
    assert [line for line in log.lines if line[0] == "a"] == [f"a{n}" for n in range(1, 80) if f"a{n}" in sent]
    assert [line for line in log.lines if line[0] == "c"] == [f"c{n}" for n in range(1, 80) if f"c{n}" in sent]
    assert len([line for line in log.lines if line[0] == "?"]) == len(lost)


def test_repeats_are_dropped_also_where_numbers_count_something_else():
    sent = [f"a{320 * at}" for at in range(20)]
    log = ordered(" ".join(name for name in sent for _ in range(2)))
    assert log.lines == ["!numbering_unknown", *sent]
    assert log.dropped_lines == ["-duplicate"] * 20


@pytest.mark.parametrize("length", [160, 800, 4000])
def test_one_packet_may_be_overtaken_however_long_packets_are(length):
    log = Log()
    sequencer = Sequencer(log, log, window=0.12, wait=True, jump=5)
    for number in [*range(20), 21, 20, *range(22, 30)]:
        sequencer.push(Packet("a", number, bytes([number]) * length, 0.1 if number < 20 else 0.2))
    sequencer.flush()
    assert log.lines == run_of("a", range(30)).split()
