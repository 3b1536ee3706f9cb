import os

import pytest

from flowcore.files import disk, free_space


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
