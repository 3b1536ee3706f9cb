import os

from flowcore import open_files
from tests.support.failing_disks import no_descriptor_left


def test_open_files_are_counted():
    before = open_files.room()
    held = [os.dup(0) for _ in range(10)]
    after = open_files.room()
    for fd in held:
        os.close(fd)
    assert (before.limit, before.free - after.free) == (after.limit, 10)


def test_strangers_leave_a_quarter_of_the_limit_new_calls_an_eighth_and_refusals_a_sixteenth():
    room = open_files.Room(free=300, limit=1024)
    assert (room.strangers, room.calls, room.refusals) == (300 - 256, 300 - 128, 300 - 64)


def test_without_a_descriptor_left_there_is_no_room():
    with no_descriptor_left():
        room = open_files.room()
    assert room.free == 0
    assert room.strangers < room.calls < room.refusals <= 0  # a sixteenth of a few files is none


def test_where_nothing_can_be_counted_the_whole_limit_is_free(monkeypatch):
    monkeypatch.setattr(open_files, "DESCRIPTORS", "/proc/none")
    room = open_files.room()
    assert room.free == room.limit
