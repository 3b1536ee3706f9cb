"""A sound card's output, through PortAudio: opened, written to in blocks, lost, and found again."""

from __future__ import annotations

import ctypes
import ctypes.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
    _quiet: ClassVar[list[Any]] = []

    @classmethod
    def load(cls) -> Any:
        """The module. Raises `CannotStart` when the library is missing."""
        cls._hush()  # before the import, which already looks for devices
        try:
            import sounddevice
        except OSError as error:
            raise CannotStart(f"{error}: run  apt-get install libportaudio2 libasound2-plugins") from error
        return sounddevice

    @classmethod
    @contextmanager
    def fresh(cls) -> Iterator[Any]:
        """The module, as up to date as may be, for one at a time: who fails to open a stream holds up nobody's look."""
        module = cls.load()
        with cls._lock:
            if not cls._open:
                # The module's own ways to do this lead all that the process says on standard error nowhere meanwhile.
                module._lib.Pa_Terminate()
                module._check(module._lib.Pa_Initialize(), "PortAudio cannot look for devices")
            yield module

    @classmethod
    def opened(cls) -> None:
        """A stream is open; called within `fresh`."""
        cls._open += 1

    @classmethod
    def closed(cls) -> None:
        """A stream is closed."""
        with cls._lock:
            cls._open -= 1

    @classmethod
    def _hush(cls) -> None:
        """Let ALSA and JACK not write to standard error of all that they look for in vain: what fails is raised too."""
        if cls._quiet:
            return
        text, number = ctypes.c_char_p, ctypes.c_int
        for library, setter, takes in (
            ("asound", "snd_lib_error_set_handler", (text, number, text, number, text)),
            ("jack", "jack_set_error_function", (text,)),
            ("jack", "jack_set_info_function", (text,)),
        ):
            name = ctypes.util.find_library(library)
            if name is not None:
                silence = ctypes.CFUNCTYPE(None, *takes)(lambda *_: None)
                getattr(ctypes.CDLL(name), setter)(silence)
                cls._quiet.append(silence)  # called for as long as the process lives


def outputs() -> list[dict[str, Any]]:
    """What can play: index, name, channels, rate in Hz, and whether it is the default. Raises `CannotStart`."""
    with PortAudio.fresh() as module:
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


class Card:
    """An open output. ``device`` is a part of its name, or its index; empty is the default one."""

    def __init__(self, device: str, rate: int) -> None:
        """Open it and fill it with silence. Raises `NoCard`, `CannotStart`."""
        with PortAudio.fresh() as module:
            self._lost = module.PortAudioError
            try:
                self._stream = self._open(module, device, rate)
                self._stream.start()
                self._fill()
            except (module.PortAudioError, ValueError) as error:
                raise NoCard(_plain(error)) from error
            PortAudio.opened()
        self.latency = float(self._stream.latency)

    def _open(self, module: Any, device: str, rate: int) -> Any:
        if not device and module.default.device[1] < 0:
            raise NoCard("there is no sound output, or no sound server for it")
        found = module.query_devices(int(device) if device.isdecimal() else device or None, "output")
        self.name = str(found["name"])
        self.channels = min(2, found["max_output_channels"])
        return module.RawOutputStream(
            samplerate=rate,
            blocksize=round(BLOCK * rate),
            device=found["index"],
            channels=self.channels,
            dtype="int16",
            latency=LATENCY,
        )

    def write(self, block: NDArray[np.int16]) -> bool:
        """Play ``block``, shape (frames, 2), when there is room; True when it came too late. Raises `NoCard`."""
        if self.channels == 1:
            block = (block.sum(axis=1, dtype=np.int32) >> 1).astype(np.int16)
        try:
            late = bool(self._stream.write(np.ascontiguousarray(block).data.cast("B")))
            if late:
                self._fill()  # else what it holds, and with it the latency, would be less from now on
        except self._lost as error:
            raise NoCard(f"it is gone ({_plain(error)})") from error
        return late

    def close(self) -> None:
        """Let go of it, at once."""
        self._stream.close(ignore_errors=True)
        PortAudio.closed()

    def _fill(self) -> None:
        room = self._stream.write_available
        if room > 0:
            self._stream.write(bytes(room * self.channels * 2))


def _plain(error: Exception) -> str:
    return str(error.args[0] if error.args else error)
