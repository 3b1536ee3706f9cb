"""Wrong guesses whether the parties share a counter are mended without loss."""

import pytest

from tests.support.ordering import ordered, run_of


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
