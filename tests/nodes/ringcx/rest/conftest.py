import pytest

from flowcore.cli import main
from tools.fake_platform import CLIENT_SECRET, JWT, FakePlatform

SECRET = "correct-horse-battery"


@pytest.fixture
def platform():
    with FakePlatform() as fake:
        yield fake


@pytest.fixture
def command(platform, capfd, monkeypatch, tmp_path):
    """Runs `flowcore …`: exit code, standard output, standard error. Nothing secret may be in either."""
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RINGCX_SECRET", SECRET)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capfd.readouterr()
        for secret in (SECRET, JWT, CLIENT_SECRET, *platform._valid, *platform._refresh):
            assert secret not in out + err
        return ended.value.code, out, err

    return run
