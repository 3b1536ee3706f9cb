"""How much audio speech engines got, and how long utterances waited for them: the metrics of `transcribe`."""

from __future__ import annotations

import threading
from typing import Final

from flowcore.metrics import Metric

AUDIO_SENT: Final = Metric(
    "flowcore_speech_audio_seconds_total",
    "counter",
    "Audio that the speech engine got, also for interim texts and again after errors: what a service may charge for.",
)
DECODER_WAIT: Final = Metric(
    "flowcore_speech_decoder_wait_seconds",
    "histogram",
    "Time that ended utterances waited for a decoder; it is refused after `max_wait`.",
)

DECODER_LOAD: Final = Metric(
    "flowcore_speech_decoder_load_seconds_total",
    "counter",
    "Time for which final texts of live calls took all that the decoders can give; its rate is their utilisation.",
)


class Usage:
    """Seconds of audio, counted from several threads."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        with self._lock:
            self.seconds += seconds
