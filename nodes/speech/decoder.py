"""The contract of an engine that turns one utterance at a time into text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from flowcore import Extra, FlowcoreError


class DecodeFailed(FlowcoreError):
    """The engine could not decode an utterance."""


class Decoder(ABC):
    """A loaded model. Made and opened in one thread, then used and closed in another, by one caller at a time."""

    REQUIRES: ClassVar[Sequence[Extra]] = ()

    @abstractmethod
    def open(self) -> None:
        """Load the model. Raises `CannotStart`."""

    @abstractmethod
    def decode(self, samples: NDArray[np.int16]) -> str:
        """The words in ``samples``, s16 at 16 kHz, up to 30 s; empty when there are none. Raises `DecodeFailed`."""

    @abstractmethod
    def close(self) -> None:
        """Free the model."""
