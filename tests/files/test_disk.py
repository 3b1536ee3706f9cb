import os

import pytest

from flowcore.files import disk, free_space
from tests.support.failing_disks import content, on_each_file_system, use_file_system


def test_free_space_is_that_of_the_disk_also_below_directories_that_do_not_exist_yet(tmp_path):
    found = os.statvfs(tmp_path)
    assert free_space(tmp_path / "a" / "b") == pytest.approx(found.f_bavail * found.f_frsize, rel=0.1)


def test_a_file_in_the_place_of_a_directory_is_named_as_such(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError):
        disk.make_directory(tmp_path / "a" / "b")


def test_a_second_descriptor_cannot_lock_a_file(tmp_path):
    first, second = (os.open(tmp_path / "a", os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert disk.try_lock(first)
    assert not disk.try_lock(second)
    os.close(first)
    assert disk.try_lock(second)
    os.close(second)


def test_an_open_file_is_at_its_name_until_it_is_removed(tmp_path):
    fd = os.open(tmp_path / "a", os.O_RDWR | os.O_CREAT)
    assert disk.is_at(fd, tmp_path / "a")
    (tmp_path / "a").unlink()
    assert not disk.is_at(fd, tmp_path / "a")
    os.close(fd)


@on_each_file_system
def test_a_free_name_is_taken(tmp_path, monkeypatch, file_system):
    use_file_system(file_system, monkeypatch)
    (tmp_path / "a").write_bytes(b"sound")
    disk.rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"b": b"sound"}


@on_each_file_system
@pytest.mark.parametrize("taken", [b"", b"other"])
def test_a_taken_name_is_refused_and_nothing_changes(tmp_path, monkeypatch, file_system, taken):
    use_file_system(file_system, monkeypatch)
    (tmp_path / "a").write_bytes(b"sound")
    (tmp_path / "b").write_bytes(taken)
    with pytest.raises(FileExistsError):
        disk.rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"a": b"sound", "b": taken}


@on_each_file_system
def test_a_file_that_has_both_names_keeps_the_new_one(tmp_path, monkeypatch, file_system):
    (tmp_path / "a").write_bytes(b"sound")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    use_file_system(file_system, monkeypatch)
    disk.rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"b": b"sound"}


@on_each_file_system
def test_other_errors_are_raised(tmp_path, monkeypatch, file_system):
    use_file_system(file_system, monkeypatch)
    with pytest.raises(FileNotFoundError):
        disk.rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {}


def test_one_step_where_the_file_system_can_do_it(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "link")
    monkeypatch.delattr(os, "rename")
    (tmp_path / "a").write_bytes(b"sound")
    disk.rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"b": b"sound"}


def test_a_c_library_without_renameat2_links(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_LIBC", object())
    (tmp_path / "a").write_bytes(b"sound")
    disk.rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"b": b"sound"}
