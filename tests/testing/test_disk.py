"""The fake disk fails, forgets and delays as it is set."""

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowcore.testing import FakeDisk


def opened(path):
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_power_cut_takes_what_was_not_synced(tmp_path):
    (tmp_path / "old").write_bytes(b"old")
    with FakeDisk(tmp_path) as disk:
        fd = opened(tmp_path / "new")
        os.write(fd, b"one")
        os.fsync(fd)
        os.write(fd, b"two")
        os.close(fd)
        sync(tmp_path)
        (tmp_path / "later").write_bytes(b"later")
    disk.power_cut()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"old": b"old", "new": b"one"}


def test_renaming_lasts_only_with_a_sync_of_the_directory(tmp_path):
    for synced in (False, True):
        (tmp_path / "a").write_bytes(b"a")
        with FakeDisk(tmp_path) as disk:
            os.rename(tmp_path / "a", tmp_path / "b")
            if synced:
                sync(tmp_path)
        disk.power_cut()
        assert [path.name for path in tmp_path.iterdir()] == ["b" if synced else "a"]


def test_directory_that_was_never_synced_is_gone_with_its_files(tmp_path):
    with FakeDisk(tmp_path) as disk:
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "file").write_bytes(b"1")
    disk.power_cut()
    assert not list(tmp_path.iterdir())


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=10), st.integers(0, 300))
def test_full_disk_takes_a_part_and_says_so(tmp_path_factory, pieces, room):
    root = tmp_path_factory.mktemp("full")
    with FakeDisk(root) as disk:
        disk.room = room
        fd = opened(root / "x")
        refused = []
        for piece in pieces:
            while piece and not refused:
                try:
                    piece = piece[os.write(fd, piece) :]
                except OSError as error:
                    refused.append(error.errno)
        os.close(fd)
    assert refused == [errno.ENOSPC] * (sum(map(len, pieces)) > room)
    assert (root / "x").read_bytes() == b"".join(pieces)[:room]


def test_errors_and_syncs_are_those_of_its_own_files(tmp_path):
    (tmp_path / "disk").mkdir()
    with FakeDisk(tmp_path / "disk") as disk:
        disk.write_error, disk.sync_error = errno.EIO, errno.EIO
        inside, outside = opened(tmp_path / "disk" / "x"), opened(tmp_path / "y")
        os.write(outside, b"fine")
        os.fsync(outside)
        for call in (lambda: os.write(inside, b"no"), lambda: os.fsync(inside), lambda: os.fdatasync(inside)):
            with pytest.raises(OSError, match="Input/output error"):
                call()
        os.close(inside)
        os.close(outside)
    assert disk.syncs == {tmp_path / "disk" / "x": 2}
    assert os.write is not disk._write
