"""The options of `flowcore run` for the admin API."""

import sys

import pytest

from flowcore.admin.settings import TOKEN
from flowcore.cli import main
from flowcore.cli.admin import admin_settings
from flowcore.engine.sockets import listen
from flowcore.errors import MissingExtra
from tests.support.live import ROOT


@pytest.mark.parametrize("package", ["fastapi", "uvicorn"])
def test_without_the_extra_the_option_says_what_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=rf"--admin needs {package}: run  pip install 'flowcore\[admin\]'"):
        admin_settings("9090", None, None, None)
    assert admin_settings("", None, None, None) is None


def refused(capsys, tmp_path, *options):
    """The error of a run with these options, which ends before it begins."""
    settings = ["--set", "call.port=0", "--set", f"wav.path={tmp_path}/a.wav"]
    with pytest.raises(SystemExit) as ended:
        main(["run", str(ROOT / "graphs" / "record.yaml"), *settings, *options])
    assert ended.value.code in (1, 2)
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--admin", "0.0.0.0:0"], "the token would cross the network in the clear: give --admin-cert"),
        (["--admin", "http"], "--admin http: give a port, like 9090 or 127.0.0.1:9090"),
        (["--admin-key", "key.pem"], "this is for the admin API: give --admin too"),
        (["--admin", "0", "--admin-cert", "a.pem", "--admin-key", "b.pem"], "cannot read a.pem: No such file"),
        (["--admin", "0", "--control", "/nowhere/control"], "cannot listen at /nowhere/control"),
    ],
)
def test_options_that_cannot_be_used_end_the_run_with_what_to_do(capsys, tmp_path, monkeypatch, options, text):
    monkeypatch.setenv(TOKEN, "0123456789abcdef")
    assert text in refused(capsys, tmp_path, *options)[0]


def test_a_port_that_is_taken_is_named(capsys, tmp_path):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        (line,) = refused(capsys, tmp_path, "--admin", str(port))
    assert line.startswith(f"error: --admin: port {port} of 127.0.0.1 is taken: stop what listens there")
