"""A fake sound card whose output is recorded: a PulseAudio server with a null sink."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

RATE = 16000
TIMEOUT = 20
"""Seconds for PulseAudio to start, to record or to end."""


class Card:
    """Sound card for the length of a ``with`` block; it needs no user session.

    ``environment`` is the environment of a process that plays on the card, ``added`` its variables beyond ours.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pulse-"))
        server = f"unix:{self.folder}/socket"
        self.added = {"PULSE_SERVER": server, "PULSE_SINK": "test", "HOME": str(self.folder)}
        self.environment = {**os.environ, **self.added, "XDG_RUNTIME_DIR": str(self.folder)}
        self.environment.pop("DBUS_SESSION_BUS_ADDRESS", None)

    def __enter__(self) -> Card:
        self.plug_in()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pull_out()
        shutil.rmtree(self.folder, ignore_errors=True)

    def plug_in(self) -> None:
        """Start the daemon with a stereo sink.

        ``norewinds`` makes PulseAudio record from the first sample that is written.
        """
        if shutil.which("pulseaudio") is None:
            raise FileNotFoundError("there is no pulseaudio: `make debs` as root, or apt-get install pulseaudio")
        sink = f"module-null-sink sink_name=test rate={RATE} channels=2 format=s16le norewinds=1"
        self.daemon = subprocess.Popen(
            ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--realtime=no",
             "--high-priority=no", "--log-target=stderr", "--log-level=error",
             "-L", f"module-native-protocol-unix socket={self.folder}/socket auth-anonymous=1", "-L", sink],
            env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        waited = threading.Event()
        for _ in range(TIMEOUT * 20):
            if subprocess.run(["pactl", "info"], env=self.environment, capture_output=True).returncode == 0:
                return
            assert self.daemon.poll() is None, "pulseaudio did not start"
            waited.wait(0.05)
        raise TimeoutError("pulseaudio did not answer")

    def pull_out(self) -> None:
        """Stop the daemon, as if the card were unplugged."""
        if self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
        self.daemon.wait(TIMEOUT)

    def recorder(self) -> Recorder:
        """Start to record what the card plays."""
        return Recorder(self)


class Recorder:
    """Recorder of a card, in stereo. It is ready when the first bytes have arrived; silence is bytes too."""

    def __init__(self, card: Card) -> None:
        command = ["parec", "-d", "test.monitor", "--format=s16le", f"--rate={RATE}", "--channels=2", "--raw"]
        self._process = subprocess.Popen(
            [*command, "--latency-msec=10"], env=card.environment, stdout=subprocess.PIPE, bufsize=0
        )
        self.stamps: list[tuple[int, float]] = []
        """Frames so far, and the time (`time.monotonic`) at which they had arrived."""
        self._data = bytearray()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        assert self._ready.wait(TIMEOUT)

    def _read(self) -> None:
        assert self._process.stdout is not None
        while data := self._process.stdout.read(65536):
            self._data += data
            self.stamps.append((len(self._data) // 4, time.monotonic()))
            self._ready.set()

    @property
    def heard(self) -> NDArray[np.int16]:
        """Return the samples so far, shape (frames, 2)."""
        return np.frombuffer(bytes(self._data[: len(self._data) // 4 * 4]), "<i2").reshape(-1, 2)

    def stop(self) -> NDArray[np.int16]:
        """Stop the recorder and return all samples."""
        self._process.terminate()
        self._thread.join()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self.heard
