"""An engine around an engine: checks driver and provider against the contract, and injects faults into streams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Literal

from flowcore import Encoding
from flowcore.speech import Ended, Expired, Limits, Listener, OverQuota, Rejected, Result, Stream, Streamer, Unavailable

StreamFault = Literal["", "refuse", "reset", "quota", "expire", "deafen", "hang", "reject"]
"""The fault of one stream; an empty string stands for none.

- ``refuse``, ``quota``, ``reject``: the stream fails at once as `Unavailable`, `OverQuota` or `Rejected`
- ``reset``, ``expire``: the stream fails after some audio as `Unavailable` or `Expired`
- ``deafen``: after some audio the stream hears nothing more, and ends in order
- ``hang``: after some audio the stream gives no results and no end
"""

SEND_INTERVAL = 0.1  # seconds by which a request may come early
TIME_TOLERANCE = 0.02  # seconds by which a word's times may differ

_ERRORS = {"refuse": Unavailable, "reset": Unavailable, "quota": OverQuota, "expire": Expired, "reject": Rejected}


class FaultInjector(Streamer):
    """A `Streamer` between the driver and the provider's engine ``inner``.

    ``limits`` are those of ``inner`` or narrower ones. ``fault`` gives the fault of each stream by the stream's number,
    counted from 1. ``breaches`` are sentences about breaches of the contract.
    """

    def __init__(
        self, inner: Streamer, now: Callable[[], float], limits: Limits, fault: Callable[[int], StreamFault]
    ) -> None:
        super().__init__(inner.config)
        self.inner = inner
        self.now = now
        self.limits = limits
        self.fault = fault
        self.streams: list[_FaultyStream] = []
        self.breaches: list[str] = []

    def open(self) -> None:
        self.inner.open()

    def close(self) -> None:
        self.inner.close()

    def stream(self, encoding: Encoding, rate: int, listener: Listener, phrases: Sequence[str] = ()) -> Stream:
        if (encoding, rate) not in self.limits.formats:
            self.breaches.append(f"the driver sends {encoding} at {rate} Hz")
        stream = _FaultyStream(self, len(self.streams) + 1, encoding, rate, listener, phrases)
        self.streams.append(stream)
        return stream

    def tick(self) -> None:
        """End the streams that are too old or idle for too long."""
        for stream in self.streams:
            stream.tick()


class _FaultyStream(Stream):
    def __init__(
        self,
        owner: FaultInjector,
        number: int,
        encoding: Encoding,
        rate: int,
        listener: Listener,
        phrases: Sequence[str],
    ) -> None:
        self.owner = owner
        self.number = number
        self.fault = owner.fault(number)
        self.opened = self.last = owner.now()
        self.bytes = 0
        self.over = False
        self.half_closed = False
        self._faulted = False
        self._bytes_per_second = rate * (2 if encoding == "s16" else 1)
        self._listener = listener
        self._lock = Lock()
        self._fault_after = 1 + number % 7  # seconds of audio
        self.inner: Stream | None = owner.inner.stream(encoding, rate, self._on_event, *([phrases] if phrases else []))
        if self.fault in ("refuse", "quota", "reject"):
            self._fail()

    def send(self, audio: bytes) -> None:
        limits, now = self.owner.limits, self.owner.now()
        self.bytes += len(audio)
        self._check(len(audio) <= limits.max_request, f"a request of {len(audio)} bytes")
        self._check(not self.half_closed, "audio after the end")
        allowed = 2.0 + limits.pace * (now - self.opened + SEND_INTERVAL)
        self._check(self.bytes / self._bytes_per_second <= allowed, "audio faster than the limits allow")
        self.last = now
        if self.bytes >= self._fault_after * self._bytes_per_second:
            self._faulted = self._faulted or self.fault in ("hang", "deafen")
            if self.fault in ("reset", "expire"):
                self._fail()
        if self.inner is not None and not self.over and not (self._faulted and self.fault == "deafen"):
            self.inner.send(audio)

    def end(self) -> None:
        self._check(not self.half_closed, "two ends")
        self.half_closed = True
        if self.inner is not None and not self.over:
            self.inner.end()

    def cancel(self) -> None:
        self.over = True
        if self.inner is not None:
            self.inner.cancel()
            self.inner = None

    def tick(self) -> None:
        limits, now = self.owner.limits, self.owner.now()
        if self.over or self.half_closed:
            return
        if now - self.opened > limits.max_stream or now - self.last > limits.idle:
            renewed = self.number < len(self.owner.streams)  # the driver tried, even if the new stream failed
            self._check(renewed, "the driver let the stream get too old or idle for too long")
            self._fail(Expired("too old"))

    def _on_event(self, event: Result | Ended) -> None:  # from any thread
        hangs = self._faulted and self.fault == "hang"
        with self._lock:
            if self.over:
                return
            if isinstance(event, Result):
                sent = self.bytes / self._bytes_per_second
                self._check(event.end <= sent + TIME_TOLERANCE, "a result for audio that was never sent")
            self.over = isinstance(event, Ended) and not hangs
        if not hangs:
            self._listener(event)

    def _fail(self, error: Exception | None = None) -> None:
        with self._lock:
            if self.over:
                return
            self.over = True
        self.cancel()
        kind: Any = _ERRORS.get(self.fault, Unavailable)
        self._listener(Ended(error or kind(f"injected fault: {self.fault}")))  # type: ignore[arg-type]

    def _check(self, kept: bool, breach: str) -> None:
        if not kept and not self.over:
            age = self.owner.now() - self.opened
            self.owner.breaches.append(f"stream {self.number}, {age:.1f} s old: {breach}")
