import json
import os
import resource
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from flowcore import (
    CannotStart,
    Folder,
    NewFile,
    PathTemplate,
    abandoned,
    files,
    publish,
    publish_from,
    set_aside,
    write_whole,
)
from flowcore.testing import SESSION, FakeDisk, kill_at_random
from tests.support.killing import killed_at, on_each_file_system, use_file_system


@contextmanager
def disk_for_files_of(size: int):
    """A disk that is full when a file has ``size`` bytes; the kernel plays it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def left(path: Path, data: bytes) -> Path:
    """The part of ``path`` that a killed process left."""
    file = NewFile(path, partial=True)
    file.append(data)
    file.close()
    return file.path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_directories_are_made(tmp_path):
    file = NewFile(tmp_path / "a" / "b" / "c.txt")
    file.append(b"text")
    file.close()
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == b"text"


def test_taken_name_gets_a_number_and_nothing_is_overwritten(tmp_path):
    (tmp_path / "x.txt").write_text("first")
    names = [NewFile(tmp_path / "x.txt").path.name for _ in range(2)]
    assert names == ["x-2.txt", "x-3.txt"]
    assert (tmp_path / "x.txt").read_text() == "first"


def test_part_of_another_flow_is_taken_too(tmp_path):
    first, second = (NewFile(tmp_path / "x.wav", partial=True) for _ in range(2))
    assert (first.path.name, second.path.name) == ("x.wav.part", "x-2.wav.part")


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


def test_full_disk_takes_a_whole_piece_or_nothing_of_it(tmp_path):
    file = NewFile(tmp_path / "x")
    with disk_for_files_of(10_000):
        file.append(b"a" * 9_000)
        with pytest.raises(OSError, match="File too large"):
            file.append(b"b" * 2_000)
        file.append(b"c" * 1_000)
    assert (tmp_path / "x").read_bytes() == b"a" * 9_000 + b"c" * 1_000
    assert file.size == 10_000


def test_no_permission_names_field_and_fix(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotStart, match=r"^path: cannot write to .*: Not a directory; give a path in"):
        NewFile.create(PathTemplate(f"{tmp_path}/file/{{flow}}.wav"), SESSION)


def test_folder_is_made_before_the_first_call(tmp_path):
    Folder(tmp_path / "a" / "b").open()
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("folder", ["/proc/recordings", "/proc", __file__])
def test_folder_that_takes_no_files_names_field_and_fix_before_the_first_call(folder):
    with pytest.raises(CannotStart, match=f"^path: cannot write to {folder}: .*; give a path in a directory"):
        Folder(Path(folder)).open()


def test_killed_process_loses_nothing_that_was_appended(tmp_path):
    program = f"""
import os, pathlib, signal
from flowcore import NewFile
file = NewFile(pathlib.Path({str(tmp_path)!r}) / "x")
for number in range(1000):
    file.append(b"%04d" % number)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=os.getcwd())
    assert done.returncode == -9
    assert (tmp_path / "x").read_bytes() == b"".join(b"%04d" % number for number in range(1000))


def test_only_what_a_killed_process_left_is_abandoned(tmp_path):
    program = f"""
import os, pathlib, signal
from flowcore import NewFile
NewFile(pathlib.Path({str(tmp_path)!r}) / "dead.wav", partial=True).append(b"left")
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False)
    alive = NewFile(tmp_path / "alive.wav", partial=True)
    alive.append(b"growing")
    (tmp_path / "finished.wav").touch()
    template = PathTemplate(f"{tmp_path}/{{flow}}.wav")
    assert [part.name for part in abandoned(template)] == ["dead.wav.part"]
    alive.close()
    assert [part.name for part in abandoned(template)] == ["alive.wav.part", "dead.wav.part"]


def test_two_that_look_for_abandoned_files_never_get_the_same_one_at_once(tmp_path):
    (tmp_path / "x.wav.part").write_text("left")
    template = PathTemplate(f"{tmp_path}/{{flow}}.wav")
    first = abandoned(template)
    assert [part.name for part in first] == ["x.wav.part"]
    first = abandoned(template)
    assert next(first).name == "x.wav.part"
    assert list(abandoned(template)) == []
    first.close()
    assert len(list(abandoned(template))) == 1


def test_a_link_that_is_called_like_an_abandoned_file_is_left_alone(tmp_path):
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "x.wav.part").symlink_to(tmp_path / "elsewhere")
    assert list(abandoned(PathTemplate(f"{tmp_path}/{{flow}}.wav"))) == []


def test_a_hundred_new_files_while_others_look_for_abandoned_ones_are_all_their_writers(tmp_path):
    template = PathTemplate(f"{tmp_path}/{{flow}}.wav")
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for part in abandoned(template):
                publish(part)

    def write(number: int) -> None:
        file = NewFile(tmp_path / "call.wav", partial=True)
        file.append(b"%d" % number)
        publish(file.path)
        file.close()

    with ThreadPoolExecutor(10) as pool:
        looking = pool.submit(look)
        for written in [pool.submit(write, number) for number in range(100)]:
            written.result()
        stop.set()
        looking.result()
    whole = [path.read_bytes() for path in tmp_path.iterdir()]
    assert sorted(int(data) for data in whole if data) == list(range(100))


def test_what_is_written_whole_is_new_or_takes_the_place_of_the_old(tmp_path):
    write_whole(tmp_path / "x.json", b"a longer first content")
    write_whole(tmp_path / "x.json", b"second")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x.json": b"second"}


def test_disk_that_is_full_leaves_the_old_content_and_nothing_else(tmp_path):
    write_whole(tmp_path / "x.json", b"old")
    with disk_for_files_of(10_000), pytest.raises(OSError, match="File too large"):
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


@pytest.mark.parametrize("seed", range(8))
def test_row_49_killed_at_random_it_is_whole_and_not_older_than_what_was_acknowledged(tmp_path, seed):
    program = f"""
import json, pathlib
from flowcore import write_whole
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


def test_without_renameat2_in_the_c_library_a_link_does(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LIBC", object())
    assert publish(left(tmp_path / "x.wav", b"sound")) == tmp_path / "x.wav"
    assert content(tmp_path) == {"x.wav": b"sound"}


def test_an_error_that_another_way_would_meet_too_is_raised(tmp_path):
    with pytest.raises(FileNotFoundError):
        publish(tmp_path / "x.wav.part")
    assert content(tmp_path) == {}


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
