import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowcore import CannotStart, PathTemplate
from flowcore.files import FileRemoved, NewFile, abandoned, publish
from flowcore.testing import SESSION
from tests.support.failing_disks import content, full_at, left, refuse


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


def test_full_disk_takes_a_whole_piece_or_nothing_of_it(tmp_path):
    file = NewFile(tmp_path / "x")
    with full_at(10_000):
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


@pytest.mark.slow
def test_killed_process_loses_nothing_that_was_appended(tmp_path):
    program = f"""
import os, pathlib, signal
from flowcore.files import NewFile
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
from flowcore.files import NewFile
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


def test_where_the_file_system_has_no_locks_files_are_written_and_none_counts_as_abandoned(tmp_path, monkeypatch):
    refuse(fcntl, "flock", errno.ENOLCK, monkeypatch)
    left(tmp_path / "x.wav", b"sound")
    assert content(tmp_path) == {"x.wav.part": b"sound"}
    assert list(abandoned(PathTemplate(f"{tmp_path}/{{flow}}.wav"))) == []


@pytest.mark.fault(57)
@pytest.mark.parametrize(
    "remove",
    [
        lambda path: path.unlink(),
        lambda path: path.rename(path.with_name("other")),
        lambda path: shutil.rmtree(path.parent),
        lambda path: path.parent.rename(path.parent.with_name("moved")),
        lambda path: (path.unlink(), path.write_bytes(b"another's")),
        lambda path: (shutil.rmtree(path.parent), path.parent.touch()),
    ],
)
def test_a_partial_file_that_lost_its_name_is_noticed_with_the_next_append(tmp_path, remove):
    file = NewFile(tmp_path / "day" / "x.wav", partial=True)
    file.append(b"some")
    assert file.has_name()
    remove(file.path)
    assert not file.has_name()
    with pytest.raises(FileRemoved, match="it was removed or renamed while flowcore wrote it"):
        file.append(b"more")
    assert file.size == 4
    file.close(sync=False)


def test_a_file_that_readers_see_while_it_grows_may_be_renamed(tmp_path):
    file = NewFile(tmp_path / "x.log")
    file.append(b"some")
    (tmp_path / "x.log").rename(tmp_path / "x.old")
    file.append(b"more")
    file.close()
    assert (tmp_path / "x.old").read_bytes() == b"somemore"


def test_names_are_tried_from_the_given_number_on(tmp_path):
    assert NewFile(tmp_path / "x.wav", partial=True, first=3).path.name == "x-3.wav.part"
    taken = NewFile(tmp_path / "x.wav", partial=True, first=3)
    assert (taken.path.name, taken.number) == ("x-4.wav.part", 4)
