import os

import pytest

from flowcore.files import rename
from flowcore.files.rename import rename_to_new
from tests.support.failing_disks import content, on_each_file_system, use_file_system


@on_each_file_system
def test_a_free_name_is_taken(tmp_path, monkeypatch, file_system):
    use_file_system(file_system, monkeypatch)
    (tmp_path / "a").write_bytes(b"sound")
    rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"b": b"sound"}


@on_each_file_system
@pytest.mark.parametrize("taken", [b"", b"other"])
def test_a_taken_name_is_refused_and_nothing_changes(tmp_path, monkeypatch, file_system, taken):
    use_file_system(file_system, monkeypatch)
    (tmp_path / "a").write_bytes(b"sound")
    (tmp_path / "b").write_bytes(taken)
    with pytest.raises(FileExistsError):
        rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"a": b"sound", "b": taken}


@on_each_file_system
def test_a_file_that_has_both_names_keeps_the_new_one(tmp_path, monkeypatch, file_system):
    (tmp_path / "a").write_bytes(b"sound")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    use_file_system(file_system, monkeypatch)
    rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"b": b"sound"}


@on_each_file_system
def test_other_errors_are_raised(tmp_path, monkeypatch, file_system):
    use_file_system(file_system, monkeypatch)
    with pytest.raises(FileNotFoundError):
        rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {}


def test_one_step_where_the_file_system_can_do_it(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "link")
    monkeypatch.delattr(os, "rename")
    (tmp_path / "a").write_bytes(b"sound")
    rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"b": b"sound"}


def test_a_c_library_without_renameat2_links(tmp_path, monkeypatch):
    monkeypatch.setattr(rename, "_LIBC", object())
    (tmp_path / "a").write_bytes(b"sound")
    rename_to_new(tmp_path / "a", tmp_path / "b")
    assert content(tmp_path) == {"b": b"sound"}
