"""A sound card's output, through PortAudio: opened, written to in blocks, lost, and found again."""

from __future__ import annotations

import ctypes
import ctypes.util
import threading
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from flowcore import CannotStart, FlowcoreError

BLOCK = 0.010
"""Seconds that are written at once."""
LATENCY = 0.06
"""Seconds that PortAudio is asked for; PulseAudio then holds 80 ms, and 26 ms were the longest between two writes."""


class NoCard(FlowcoreError):
    """There is no such output now, or no longer."""


class PortAudio:
    """The library, which looks for devices only when it is initialised: so it is, anew, while no stream is open."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _open: ClassVar[int] = 0
    _quiet: ClassVar[Any] = None

    @classmethod
    def load(cls) -> Any:
        """The module. Raises `CannotStart` when the library is missing."""
        try:
            import sounddevice
        except OSError as error:
            raise CannotStart(f"{error}: run  apt-get install libportaudio2 libasound2-plugins") from error
        cls._hush()
        return sounddevice

    @classmethod
    def take(cls) -> Any:
        """The module, before a stream is opened; `give_back` after that is closed."""
        module = cls.load()
        with cls._lock:
            if not cls._open:
                module._terminate()
                module._initialize()
            cls._open += 1
        return module

    @classmethod
    def give_back(cls) -> None:
        """A stream is closed."""
        with cls._lock:
            cls._open -= 1

    @classmethod
    def _hush(cls) -> None:
        """Let ALSA not write to standard error of each plug-in that has no device: what fails is raised as well."""
        name = ctypes.util.find_library("asound")
        if name is not None and cls._quiet is None:
            kind = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p)
            cls._quiet = kind(lambda *_: None)  # kept, as ALSA calls it for as long as the process lives
            ctypes.CDLL(name).snd_lib_error_set_handler(cls._quiet)


def outputs() -> list[dict[str, Any]]:
    """What can play: index, name, channels, rate in Hz, and whether it is the default. Raises `CannotStart`."""
    module = PortAudio.take()
    try:
        default = module.default.device[1]
        apis = module.query_hostapis()
        return [
            {
                "name": device["name"],
                "through": apis[device["hostapi"]]["name"],
                "channels": device["max_output_channels"],
                "rate": int(device["default_samplerate"]),
                "default": device["index"] == default,
            }
            for device in module.query_devices()
            if device["max_output_channels"]
        ]
    finally:
        PortAudio.give_back()


class Card:
    """An open output. ``device`` is a part of its name, or its index; empty is the default one."""

    def __init__(self, device: str, rate: int) -> None:
        """Open it and fill it with silence. Raises `NoCard`, `CannotStart`."""
        module = PortAudio.take()
        self._lost = module.PortAudioError
        try:
            index = int(device) if device.isdecimal() else device or None
            found = module.query_devices(index, "output")
            self.name = str(found["name"])
            self.channels = min(2, found["max_output_channels"])
            self._stream = module.RawOutputStream(
                samplerate=rate,
                blocksize=round(BLOCK * rate),
                device=found["index"],
                channels=self.channels,
                dtype="int16",
                latency=LATENCY,
            )
            self._stream.start()
            self._fill()
        except (module.PortAudioError, ValueError) as error:
            PortAudio.give_back()
            raise NoCard(_plain(error)) from error
        self.latency = float(self._stream.latency)

    def write(self, block: NDArray[np.int16]) -> bool:
        """Play ``block``, shape (frames, 2), when there is room; True when it came too late. Raises `NoCard`."""
        if self.channels == 1:
            block = (block.sum(axis=1, dtype=np.int32) >> 1).astype(np.int16)
        try:
            late = bool(self._stream.write(np.ascontiguousarray(block).data.cast("B")))
            if late:
                self._fill()  # else what it holds, and with it the latency, would be less from now on
        except self._lost as error:
            raise NoCard(_plain(error)) from error
        return late

    def close(self) -> None:
        """Let go of it, at once."""
        self._stream.close(ignore_errors=True)
        PortAudio.give_back()

    def _fill(self) -> None:
        room = self._stream.write_available
        if room > 0:
            self._stream.write(bytes(room * self.channels * 2))


def _plain(error: Exception) -> str:
    return str(error.args[0] if error.args else error)
