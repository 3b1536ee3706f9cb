"""Packets in order only: where they stand on the clock."""

from collections.abc import Iterable

import pytest

from flowcore import Packet
from nodes.jitterbuffer.timeline import Timeline

STEP = 160


class Books:
    def __init__(self) -> None:
        self.holds: list[tuple[str, float]] = []
        self.silence = 0.0

    def dropped(self, reason: str, seconds: float = 0.0, chunks: int = 1) -> None:
        raise AssertionError("the timeline drops nothing")

    def filled(self, reason: str, seconds: float, chunks: int = 0) -> None:
        self.silence += seconds

    def event(self, event: str, **data: float | str) -> None:
        self.holds.append((str(data["track"]), round(float(data["seconds"]), 3)))


def placed(sent: Iterable[tuple[str, float]], *, collapse: bool = False) -> tuple[list[tuple[str, float]], Books]:
    """Tracks and places in seconds, for packets of 20 ms given as track and time of arrival."""
    found: list[tuple[str, float]] = []
    books = Books()
    timeline = Timeline(
        lambda track, start, data: found.append((track, start / 8000)),
        lambda: None,
        books,
        pause=0.2,
        settle=0.12,
        collapse=collapse,
    )
    for number, (track, when) in enumerate(sent):
        timeline.follow(Packet(track, number, bytes(STEP), when))
    timeline.flush()
    return sorted(found, key=lambda place: place[1]), books


def steady(start: float, seconds: float, tracks: str = "ac") -> list[tuple[str, float]]:
    return [(track, start + 0.02 * at) for at in range(round(seconds * 50)) for track in tracks]


def test_tracks_in_step_stand_side_by_side():
    found, books = placed(steady(0, 2))
    assert found == [(track, pytest.approx(when)) for track, when in steady(0, 2)]
    assert books.holds == []


@pytest.mark.parametrize(("pause", "seen"), [(0.15, []), (0.25, [("", 0.25)]), (3600, [("", 3600)])])
def test_a_pause_of_all_counts_from_its_threshold(pause, seen):
    _, books = placed(steady(0, 1) + steady(1 + pause, 1))
    assert books.holds == seen


def test_a_second_pause_right_after_a_first_keeps_its_own_place():
    sent = steady(0, 1) + steady(2, 0.06) + steady(9, 1)
    found, books = placed(sent)
    assert found == [(track, pytest.approx(when, abs=1e-3)) for track, when in sent]
    assert books.holds == [("", 1.0), ("", 6.94)]


def test_a_track_that_stopped_long_before_the_others_gets_its_own_place():
    sent = steady(0, 1) + steady(1, 0.16, "c") + steady(5, 1)
    found, _ = placed(sent)
    assert found == [(track, pytest.approx(when, abs=1e-3)) for track, when in sent]


def test_a_pause_at_the_very_end_is_a_pause_too():
    found, books = placed([*steady(0, 1), ("a", 5.0)])
    assert books.holds == [("", 4.0)]
    assert found[-1] == ("a", pytest.approx(5.0, abs=1e-3))


@pytest.mark.parametrize("frozen", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("pace", [0.0, 0.005])
def test_a_network_that_was_stuck_makes_no_pause(frozen, pace):
    late = [(track, max(when, 1 + frozen + pace * (when - 1) / 0.02)) for track, when in steady(1, 8)]
    found, books = placed(steady(0, 1) + late)
    assert books.holds == []
    assert found == [(track, pytest.approx(when)) for track, when in steady(0, 9)]


def test_delay_that_falls_is_followed_at_once():
    sent = [(track, when + 1.0 * (when < 0.5)) for track, when in steady(0, 1)]
    assert placed(sent + steady(1.25, 1))[1].holds == [("", 0.25)]


def test_collapsed_pauses_leave_no_hole():
    sent = steady(0, 1) + steady(5, 1) + steady(6, 1, "c") + steady(7, 1)
    found, books = placed(sent, collapse=True)
    assert books.holds == [("", 4.0), ("a", 1.0)]
    for track in "ac":
        own = [when for name, when in found if name == track]
        assert own == [pytest.approx(0.02 * at) for at in range(len(own))]


def test_a_track_that_joins_after_a_collapsed_pause_stands_beside_the_other():
    found, _ = placed(steady(0, 1, "a") + steady(6, 1, "a") + steady(7, 1), collapse=True)
    assert next(when for track, when in found if track == "c") == pytest.approx(2.0, abs=0.02)
