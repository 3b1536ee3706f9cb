"""Output of a sound card through PortAudio: opens it, writes blocks, and detects its loss."""

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

BLOCK_SECONDS = 0.010  # of one write
LATENCY_SECONDS = 0.06  # asked of PortAudio; measured: PulseAudio holds 80 ms, and writes are at most 26 ms apart


class NoCard(FlowcoreError):
    """The output does not exist, or no longer."""


class PortAudio:
    """The library. It looks for devices only at its initialisation, so `fresh` repeats that while no stream is open."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _streams: ClassVar[int] = 0
    _handlers: ClassVar[list[Any]] = []

    @classmethod
    def load(cls) -> Any:
        """Return the module `sounddevice`. Raises `CannotStart` when the library is missing."""
        cls._silence_libraries()  # before the import, which already looks for devices
        try:
            import sounddevice
        except OSError as error:
            raise CannotStart(f"{error}: run  apt-get install libportaudio2 libasound2-plugins") from error
        return sounddevice

    @classmethod
    @contextmanager
    def fresh(cls) -> Iterator[Any]:
        """Hold the module under a lock; without open streams, look for devices first. Raises `CannotStart`."""
        module = cls.load()
        with cls._lock:
            if not cls._streams:
                # sounddevice's own re-initialisation silences the process's stderr while it runs.
                module._lib.Pa_Terminate()
                module._check(module._lib.Pa_Initialize(), "PortAudio cannot look for devices")
            yield module

    @classmethod
    def opened(cls) -> None:
        """Count an open stream; call it within `fresh`."""
        cls._streams += 1

    @classmethod
    def closed(cls) -> None:
        """Count a closed stream."""
        with cls._lock:
            cls._streams -= 1

    @classmethod
    def _silence_libraries(cls) -> None:
        """Keep ALSA and JACK from writing to stderr about missing devices; PortAudio reports failures as errors."""
        if cls._handlers:
            return
        text, number = ctypes.c_char_p, ctypes.c_int
        for library, setter, arguments in (
            ("asound", "snd_lib_error_set_handler", (text, number, text, number, text)),
            ("jack", "jack_set_error_function", (text,)),
            ("jack", "jack_set_info_function", (text,)),
        ):
            name = ctypes.util.find_library(library)
            if name is not None:
                handler = ctypes.CFUNCTYPE(None, *arguments)(lambda *_: None)
                getattr(ctypes.CDLL(name), setter)(handler)
                cls._handlers.append(handler)  # the library calls it until the process ends


def outputs() -> list[dict[str, Any]]:
    """Return the outputs: name, host API, channels, rate in Hz, and whether it is the default. Raises `CannotStart`."""
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
    """An open output. ``device`` is a part of its name, or its index; the empty string is the default output."""

    def __init__(self, device: str, rate: int) -> None:
        """Open the output and fill it with silence. Raises `NoCard`, `CannotStart`."""
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
            blocksize=round(BLOCK_SECONDS * rate),
            device=found["index"],
            channels=self.channels,
            dtype="int16",
            latency=LATENCY_SECONDS,
        )

    def write(self, block: NDArray[np.int16]) -> bool:
        """Wait for room and play ``block``, shape ``(frames, 2)``; return True after an underrun. Raises `NoCard`."""
        if self.channels == 1:
            block = (block.sum(axis=1, dtype=np.int32) >> 1).astype(np.int16)
        try:
            late = bool(self._stream.write(np.ascontiguousarray(block).data.cast("B")))
            if late:
                self._fill()  # otherwise the card would hold less from now on, and its latency would shrink
        except self._lost as error:
            raise NoCard(f"the card is gone ({_plain(error)})") from error
        return late

    def close(self) -> None:
        """Close the stream at once, without playing the rest."""
        self._stream.close(ignore_errors=True)
        PortAudio.closed()

    def _fill(self) -> None:
        room = self._stream.write_available
        if room > 0:
            self._stream.write(bytes(room * self.channels * 2))


def _plain(error: Exception) -> str:
    return str(error.args[0] if error.args else error)
