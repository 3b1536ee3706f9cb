"""Where control sockets lie: in a folder of this user alone, from which stale ones are removed."""

import os
import socket
import stat

import pytest

from flowcore import CannotStart
from flowcore.control import address
from flowcore.control.address import directory, running


def test_the_directory_is_this_users_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert directory() == tmp_path / "flowcore"
    assert stat.S_IMODE((tmp_path / "flowcore").stat().st_mode) == 0o700
    os.chmod(tmp_path / "flowcore", 0o755)
    with pytest.raises(CannotStart, match="is accessible to other users"):
        directory()


def test_a_link_to_elsewhere_is_no_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "flowcore").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotStart):
        directory()


def test_running_finds_the_living_and_clears_away_the_dead(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    dead, alive = directory() / "1.sock", directory() / "2.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(dead))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(alive))
        listening.listen()
        assert list(running()) == [alive]
    assert not dead.exists()


def test_a_service_uses_the_folder_of_its_unit_and_its_owner_finds_it_there(tmp_path, monkeypatch):
    service = tmp_path / "run"
    service.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{service}:/run/other")
    monkeypatch.setattr(address, "SERVICE_DIRECTORY", service)
    path = directory() / "1.sock"
    assert path.parent == service
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        assert list(running()) == [path]
        monkeypatch.delenv("RUNTIME_DIRECTORY")  # as in a terminal
        assert list(running()) == [path]
