import json
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from flowcore.files import NewFile, publish, publish_from, publishing, set_aside, write_whole
from flowcore.testing import FakeDisk
from tests.support.failing_disks import content, full_at, killed_at, left, on_each_file_system, use_file_system
from tests.support.kills import kill_at_random


def test_finished_file_is_never_overwritten(tmp_path):
    file = NewFile(tmp_path / "x.wav", partial=True)
    file.append(b"mine")
    file.close()
    (tmp_path / "x.wav").write_text("came in between")
    assert publish(file.path) == tmp_path / "x-2.wav"
    assert (tmp_path / "x.wav").read_text() == "came in between"
    assert (tmp_path / "x-2.wav").read_text() == "mine"
    assert not file.path.exists()


def test_a_hundred_flows_that_want_one_name_get_a_hundred_files(tmp_path):
    def record(number: int) -> None:
        file = NewFile(tmp_path / "call.wav", partial=True)
        file.append(b"%d" % number)
        file.close()
        publish(file.path)

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(record, range(100)))
    assert sorted(int(path.read_bytes()) for path in tmp_path.iterdir()) == list(range(100))


def test_what_is_written_whole_is_new_or_takes_the_place_of_the_old(tmp_path):
    write_whole(tmp_path / "x.json", b"a longer first content")
    write_whole(tmp_path / "x.json", b"second")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x.json": b"second"}


def test_disk_that_is_full_leaves_the_old_content_and_nothing_else(tmp_path):
    write_whole(tmp_path / "x.json", b"old")
    with full_at(10_000), pytest.raises(OSError, match="File too large"):
        write_whole(tmp_path / "x.json", b"n" * 20_000)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x.json": b"old"}


def test_a_power_cut_leaves_what_write_whole_returned_from(tmp_path):
    with FakeDisk(tmp_path) as disk:
        for number in range(3):
            write_whole(tmp_path / "x.json", b"%d" % number)
    disk.power_cut()
    assert (tmp_path / "x.json").read_bytes() == b"2"


def test_a_link_in_the_place_of_the_new_content_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("old")
    (tmp_path / "x.json.new").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(tmp_path / "x.json", b"new")
    assert (tmp_path / "precious").read_text() == "old"


@pytest.mark.fault(49)
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.slow
def test_killed_at_random_it_is_whole_and_not_older_than_what_was_acknowledged(tmp_path, seed):
    program = f"""
import json, pathlib
from flowcore.files import write_whole
path = pathlib.Path({str(tmp_path)!r}) / "x.json"
for number in range(1_000_000):
    write_whole(path, json.dumps([number, "x" * (number % 7 * 30_000)]).encode())
    print(number, flush=True)
"""
    killed = kill_at_random([sys.executable, "-c", program], seed, lines=(1, 60))
    assert not killed.survived
    number, padding = json.loads((tmp_path / "x.json").read_bytes())
    assert number in (len(killed.lines) - 1, len(killed.lines))
    assert padding == "x" * (number % 7 * 30_000)


def test_what_is_made_of_a_part_has_its_name_and_the_part_stays(tmp_path):
    part = NewFile(tmp_path / "x.srt", partial=True)
    for _ in range(2):  # whoever was killed before the part was gone does it again
        assert publish_from(part.path, b"text") == tmp_path / "x.srt"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x.srt": b"text", "x.srt.part": b""}


def test_what_is_made_of_a_part_overwrites_neither_strangers_nor_other_flows(tmp_path):
    mine, other = (NewFile(tmp_path / "x.srt", partial=True) for _ in range(2))
    assert other.path.name == "x-2.srt.part"
    (tmp_path / "x.srt").write_text("came in between")
    assert publish_from(mine.path, b"mine") == tmp_path / "x-3.srt"
    assert publish_from(other.path, b"other") == tmp_path / "x-2.srt"
    assert (tmp_path / "x.srt").read_text() == "came in between"


@on_each_file_system
def test_a_file_gets_its_name_in_one_piece_and_the_part_is_gone(tmp_path, monkeypatch, file_system):
    use_file_system(file_system, monkeypatch)
    part = left(tmp_path / "x.wav", b"sound")
    assert publish(part) == tmp_path / "x.wav"
    assert content(tmp_path) == {"x.wav": b"sound"}


@on_each_file_system
@pytest.mark.parametrize("taken", [b"", b"other"])
def test_a_name_that_is_taken_while_metadata_is_written_is_not_overwritten(tmp_path, monkeypatch, file_system, taken):
    use_file_system(file_system, monkeypatch)
    part = left(tmp_path / "x.wav", b"sound")
    told = []

    def tell(name):
        told.append(name.name)
        (tmp_path / "x.wav").write_bytes(taken)

    assert publish(part, tell) == tmp_path / "x-2.wav"
    assert told == ["x.wav", "x-2.wav"]
    assert content(tmp_path) == {"x.wav": taken, "x-2.wav": b"sound"}


def test_a_dangling_link_or_one_to_the_part_itself_takes_a_name_too(tmp_path):
    part = left(tmp_path / "x.wav", b"sound")
    (tmp_path / "x.wav").symlink_to(tmp_path / "nowhere")
    (tmp_path / "x-2.wav").symlink_to(part)
    assert publish(part) == tmp_path / "x-3.wav"
    assert (tmp_path / "x-3.wav").read_bytes() == b"sound"


@pytest.mark.parametrize("others", [{}, {"x.wav": b"other"}])
def test_a_part_that_is_gone_is_an_error_and_leaves_nothing(tmp_path, others):
    for name, data in others.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(FileNotFoundError):
        publish(tmp_path / "x.wav.part")
    assert content(tmp_path) == others


@pytest.mark.fault(52)
@on_each_file_system
@pytest.mark.parametrize("taken", [False, True])
def test_killed_between_any_two_system_calls_a_part_is_published_once(tmp_path, monkeypatch, file_system, taken):
    use_file_system(file_system, monkeypatch)
    for moment in range(100):
        folder = tmp_path / str(moment)
        part = left(folder / "x.wav", b"sound")
        if taken:
            (folder / "x.wav").write_bytes(b"other")
        name = "x-2.wav" if taken else "x.wav"

        def tell(name):
            write_whole(name.with_suffix(".json"), b"about " + name.name.encode())

        died = killed_at(moment, monkeypatch, lambda part=part: publish(part, tell))
        seen = content(folder)
        assert seen.get(name, b"sound") == b"sound"
        if part.exists():
            assert publish(part, tell) == folder / name
        expected = {name: b"sound", f"{Path(name).stem}.json": b"about " + name.encode()}
        assert content(folder) == expected | ({"x.wav": b"other"} if taken else {})
        if not died:
            break
    assert 7 <= moment < 20


@on_each_file_system
@pytest.mark.parametrize("text", [b"", b"text"])
def test_killed_twice_between_system_calls_what_is_made_of_a_part_is_there_once(
    tmp_path, monkeypatch, file_system, text
):
    use_file_system(file_system, monkeypatch)
    for moment in range(100):
        folder = tmp_path / str(moment)
        part = left(folder / "x.srt", b"journal")
        make = partial(publish_from, part, text)
        died = killed_at(moment, monkeypatch, make)
        for again in (moment // 2, moment):
            killed_at(again, monkeypatch, make)
            assert content(folder).get("x.srt", text) == text
        assert publish_from(part, text) == folder / "x.srt"
        assert content(folder) == {"x.srt": text, "x.srt.part": b"journal"}
        if not died:
            break
    assert 4 <= moment < 20


@pytest.mark.parametrize("moment", [0, 1])
def test_a_damaged_part_is_marked_by_its_name_in_one_step(tmp_path, monkeypatch, moment):
    part = left(tmp_path / "x.wav", b"sound")
    (tmp_path / "x.damaged.wav.part").write_bytes(b"earlier")
    assert killed_at(moment, monkeypatch, lambda: set_aside(part, "damaged")) is (moment == 0)
    name = "x.damaged-2.wav.part" if moment else "x.wav.part"
    assert content(tmp_path) == {name: b"sound", "x.damaged.wav.part": b"earlier"}


def test_of_two_that_want_a_name_at_once_the_later_one_gets_a_number(tmp_path, monkeypatch):
    """Another program creates the file between the look at the name and the rename."""
    part = left(tmp_path / "x.srt", b"journal")
    real = publishing._holds

    def slow(path, data):
        held = real(path, data)
        (tmp_path / "x.srt").write_bytes(b"other")
        return held

    monkeypatch.setattr(publishing, "_holds", slow)
    assert publish_from(part, b"text") == tmp_path / "x-2.srt"
    assert content(tmp_path) == {"x.srt": b"other", "x-2.srt": b"text", "x.srt.part": b"journal"}
