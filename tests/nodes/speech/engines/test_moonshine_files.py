"""The files of Moonshine's models: what is refused, and how."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from flowcore import CannotStart
from nodes.speech.engines.moonshine_files import BASE, TINY, MoonshineFiles
from tests.support.live import ROOT

needs_base = pytest.mark.skipif(BASE.find() is None, reason="moonshine-cpp is for Linux on x86-64")
both = pytest.mark.parametrize("files", [TINY, pytest.param(BASE, marks=needs_base)], ids=["tiny", "base"])


def cut(path: Path) -> None:
    content = path.resolve().read_bytes()
    path.unlink()
    path.write_bytes(content[:-1])


def change(path: Path) -> None:
    content = bytearray(path.resolve().read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)


def copied(files: MoonshineFiles, folder: Path) -> Path:
    for name in files.sha256:
        (folder / name).symlink_to(files.find() / name)
    return folder


@pytest.mark.fault(70)
@both
@pytest.mark.parametrize("name", BASE.sha256)
@pytest.mark.parametrize(
    ("damage", "says"),
    [(cut, "is not the file of"), (change, "is not the file of"), (Path.unlink, "No such file")],
    ids=["cut", "changed", "missing"],
)
def test_a_damaged_model_is_refused_with_what_to_do(tmp_path, files, name, damage, says):
    folder = copied(files, tmp_path)
    damage(folder / name)
    with pytest.raises(CannotStart, match=rf"{name} .*{says}.*pip install .*'flowcore\[moonshine\]'") as error:
        files.read(folder)
    assert "\n" not in str(error.value)
    assert error.value.field == "engine"


def test_another_version_of_a_package_is_refused_by_its_files(tmp_path):
    other = replace(TINY, version="0.1.5", sha256=BASE.sha256)
    with pytest.raises(CannotStart, match=r"encoder_model.ort is not the file of moonshine-voice 0\.1\.5: pip install"):
        other.read(copied(TINY, tmp_path))


def test_without_its_package_a_model_is_refused_with_what_to_do():
    with pytest.raises(CannotStart, match=r"needs moonshine-cpp, which is for Linux.*: pip install .*, or set model"):
        BASE.read(None)
    with pytest.raises(CannotStart, match=r"needs moonshine-voice: pip install 'flowcore\[moonshine\]'$"):
        TINY.read(None)


@pytest.mark.slow
@pytest.mark.fault(70)
@needs_base
def test_a_run_with_a_damaged_model_ends_before_the_first_call_with_one_line(tmp_path):
    package = tmp_path / "moonshine_cpp"
    models = package / "models" / "base-en"
    models.mkdir(parents=True)
    (package / "__init__.py").touch()
    (models / "encoder_model.ort").write_bytes(b"cut")
    command = [str(Path(sys.executable).with_name("flowcore")), "run", "graphs/transcribe.yaml", "--set", "call.port=0"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NO_COLOR": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.count("is not the file of moonshine-cpp") == 1
    assert "listener_opened" not in done.stderr
    assert "Traceback" not in done.stderr
