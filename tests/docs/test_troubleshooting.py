"""docs/troubleshooting.md names every event that is more than information, and only events and reasons that exist."""

import re

from flowcore.cli.events import declared
from flowcore.registry import available, load_all
from tests.support.live import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
CLASSES, _ = load_all(available())
EVENTS, REASONS = declared(CLASSES)


def first_cells(heading: str) -> set[str]:
    """The words in code font in the first column of the section's table."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return {name for row in re.findall(r"^\| (`.+?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}


def test_each_warning_and_error_has_an_answer():
    assert {event.name for event in EVENTS if event.level != "info"} - first_cells("By event") == set()


def test_no_answer_is_for_an_event_that_does_not_exist():
    assert first_cells("By event") - {event.name for event in EVENTS} == set()


def test_reasons_of_lost_audio_exist():
    nodes = {cls.name for cls in CLASSES}
    known = {reason.name for reason in REASONS} | {"worker_died"}
    assert first_cells("Lost audio") - nodes - known == set()
