import threading
import time

import pytest

from flowcore.cli import main
from nodes.ringcx.rest.platform import Login, Platform, Servers
from tests.nodes.ringcx.rest import calls
from tools.fake_platform import CLIENT, CLIENT_SECRET, JWT, FakePlatform

SECRET = "correct-horse-battery"


@pytest.fixture(autouse=True)
def _calls_of_an_hour_ago(monkeypatch):
    monkeypatch.setattr(calls, "BEGAN", float(int(time.time()) - 3600))


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


def client(platform, cache, say=pytest.fail, sleep=pytest.fail):
    """A client of the REST API; without ``say`` and ``sleep`` it has to wait for nothing."""
    login = Login(CLIENT, CLIENT_SECRET, JWT)
    return Platform(login, Servers(platform.url, platform.url), timeout=10, say=say, cache=cache, sleep=sleep)


class Clock:
    """Wall time that passes when somebody sleeps, for the client and the platform alike."""

    def __init__(self, platform):
        self.ahead = 0.0
        self._platform = platform
        self._lock = threading.Lock()
        self._start = time.time()

    def __call__(self):
        return self._start + self.ahead

    def sleep(self, seconds):
        """Pass the time up to the end of the sleep: what others slept meanwhile counts."""
        end = self() + seconds
        with self._lock:
            self.ahead = max(self.ahead, end - self._start)
            self._platform.ahead = self.ahead
