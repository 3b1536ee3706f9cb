import errno
import fcntl
from pathlib import Path

import pytest

from flowcore import CannotStart
from flowcore.files import Folder
from tests.support.failing_disks import refuse


def test_folder_is_made_before_the_first_call(tmp_path):
    Folder(tmp_path / "a" / "b").open()
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("folder", ["/proc/recordings", "/proc", __file__])
def test_folder_that_takes_no_files_names_field_and_fix_before_the_first_call(folder):
    with pytest.raises(CannotStart, match=f"^path: cannot write to {folder}: .*; give a path in a directory"):
        Folder(Path(folder)).open()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_the_file_system_has_no_locks_no_run_is_refused(tmp_path, monkeypatch, number):
    refuse(fcntl, "flock", number, monkeypatch)
    folders = [Folder(tmp_path, alone=True) for _ in range(2)]
    for folder in folders:
        folder.open()
    for folder in folders:
        folder.close()


def test_a_lock_that_fails_names_field_and_fix(tmp_path, monkeypatch):
    refuse(fcntl, "flock", errno.EIO, monkeypatch)
    with pytest.raises(CannotStart, match=f"^path: cannot write to {tmp_path}: .*; give a path in a directory"):
        Folder(tmp_path, alone=True).open()
