from pathlib import Path

import pytest

from flowcore import (
    CannotStart,
    Folder,
)


def test_folder_is_made_before_the_first_call(tmp_path):
    Folder(tmp_path / "a" / "b").open()
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("folder", ["/proc/recordings", "/proc", __file__])
def test_folder_that_takes_no_files_names_field_and_fix_before_the_first_call(folder):
    with pytest.raises(CannotStart, match=f"^path: cannot write to {folder}: .*; give a path in a directory"):
        Folder(Path(folder)).open()
