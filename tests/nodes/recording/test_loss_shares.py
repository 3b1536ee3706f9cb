"""What each file of a recording tells of the losses of its call."""

from flowcore import Gap, Loss
from nodes.recording import journal
from nodes.recording.loss_shares import LossShares

INFINITY = float("inf")


def lost(seconds, *gaps):
    return [Loss("ordered", "lost", 0, seconds, tuple(Gap("agent", *gap) for gap in gaps))]


def test_a_gap_over_the_end_of_a_file_is_in_both():
    shares, losses = LossShares(), lost(2.0, (9.0, 11.0, 2.0))
    first = shares.take(losses, 0.0, 10.0)
    second = shares.take(losses, 10.0, INFINITY)
    assert first == ([journal.Gap(9.0, 10.0, "lost", "ordered", "agent")], {"ordered": {"lost": 1.0}})
    assert second == ([journal.Gap(10.0, 11.0, "lost", "ordered", "agent")], {"ordered": {"lost": 1.0}})


def test_a_gap_that_stands_for_several_says_how_much_of_it_is_missing():
    gaps, seconds = LossShares().take(lost(0.5, (1.0, 3.0, 0.5)), 0.0, INFINITY)
    assert gaps == [journal.Gap(1.0, 3.0, "lost", "ordered", "agent", 0.5)]
    assert seconds == {"ordered": {"lost": 0.5}}


def test_a_loss_without_a_place_belongs_to_the_file_that_is_finished_next():
    shares = LossShares()
    assert shares.take(lost(0.5), 0.0, 10.0) == ([], {"ordered": {"lost": 0.5}})
    assert shares.take(lost(0.75), 10.0, 20.0) == ([], {"ordered": {"lost": 0.25}})
    assert shares.take(lost(0.75), 20.0, INFINITY) == ([], {})
