"""What all flows of a process share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from flowcore.metrics import Histogram, Metric
from flowcore.report import NoReport, Report


class Resource(ABC):
    """Something that all flows of a process share: a loaded model, a gRPC channel, a sound device.

    Resources that compare equal are the same resource. The engine opens a resource before the first flow and closes it
    after the last one, in a thread, so both may block. Flows call a resource from several threads at once.

    With ``--workers`` each process has its own resource; ``tell`` sends messages between them.
    """

    lasting: ClassVar[bool] = False
    """True: the listener takes it at the start, so that a reload of the graph can neither add, change nor remove it."""

    tell: Callable[[Any], None] = staticmethod(lambda message: None)
    """Send a message of JSON values to this resource in all other workers. From any thread; never waits."""
    now: Callable[[], float] = staticmethod(lambda: 0.0)
    """Monotonic seconds, as `Node.now`."""
    report: Report = NoReport()
    """Takes events that belong to no flow, from any thread."""

    def on_control_request(self, request: Mapping[str, Any]) -> Any:
        """Answer a request on the control socket (see `flowcore.control.hub`) with JSON values.

        Called from any thread. Raises `LookupError` for an unknown request.
        """
        raise LookupError(request["ask"])

    def measure(self) -> Mapping[Metric, float | Histogram]:
        """Return the present values of the metrics that the node's class declares. From any thread; never waits."""
        return {}

    def load(self) -> Mapping[str, float]:
        """Return, by the name of what does the work, how many seconds so far it was fully used by live calls.

        From it follows how many more calls fit (`flowcore.telemetry.calls_until_full`). Work that may wait for ever, or
        is left out under load, does not count. In the event loop's thread; never waits.
        """
        return {}

    def on_worker_message(self, worker: int, message: Any) -> None:  # noqa: B027  # most resources send no messages
        """Take a message of worker number ``worker``, in the order of sending; in the event loop's thread."""

    def on_worker_exit(self, worker: int) -> None:  # noqa: B027
        """Take note that a worker has ended."""

    @abstractmethod
    def open(self) -> None:
        """Open the resource. Raises `CannotStart` or `MissingExtra`."""

    def close(self) -> None:  # noqa: B027  # most resources have nothing to close
        """Close the resource; called once, also after a failed flow."""
