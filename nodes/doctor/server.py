"""The doctor's port, and its findings on all connections."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from websockets.http11 import Request

from flowcore.addresses import Address
from nodes.doctor.call_recorder import CallRecorder
from nodes.doctor.grpc_probe import GrpcProbe
from nodes.doctor.probe import Probe, Setup
from nodes.doctor.remarks import remarks
from nodes.doctor.websocket_probe import WebSocketProbe
from nodes.net.grpc_connection import Service
from nodes.net.grpc_framing import GrpcError
from nodes.net.port import Limits, Port
from nodes.net.proxy_trust import ConflictingHeaders, ProxyTrust
from nodes.net.rejection import PORT_ADVICE
from nodes.ringcx.credentials import Credentials
from nodes.ringcx.dialog_sender import METHOD
from nodes.ringcx.redact import Redactor

LIMITS = Limits(connections=64, handshake=10.0, rate=4e6)

MAX_IDLE = 3600.0
"""Seconds that a connection of HTTP/2 may have no stream."""

MAX_OTHER_REQUESTS = 20
"""Requests in the report that were no call, at most."""

POLL_INTERVAL = 0.005
"""Seconds between two polls of the sockets, which bounds the error of arrival times."""


class DoctorServer:
    """The port, which takes both transports, and the probes of its calls.

    ``secret`` may be empty; ``save`` is the recordings' path, if any. ``now`` returns monotonic seconds.
    """

    def __init__(
        self,
        proxy_trust: ProxyTrust,
        secret: str,
        save: Path | None,
        tell: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.other_requests: list[str] = []
        """One line for each request that was no call."""
        self._tell = tell
        self._now = now
        self._probes: list[Probe] = []
        self._proxy_trust = proxy_trust
        credentials = Credentials(secret) if secret else None
        redactor = Redactor(credentials)
        self._setup = Setup(
            now, credentials, lambda: CallRecorder(save, redactor) if save else None, tell, self._add_other_request
        )
        self._port = Port(
            {},
            LIMITS,
            on_error=self._on_error,
            proxy_trust=proxy_trust,
            on_rejected=self._on_rejected,
            fallback=self._examine_connection,
            service=Service(
                {METHOD: self._examine_stream},
                {},
                self._client_address,
                self._on_rejected,
                self._on_error,
                lambda: False,
                max_connections=LIMITS.connections,
                idle_timeout=MAX_IDLE,
            ),
        )

    @property
    def ended(self) -> list[Probe]:
        """The calls that have ended."""
        return [probe for probe in self._probes if probe.over]

    def listen(self, listening: socket.socket) -> int:
        """Take connections from this socket; returns its port's number."""
        return self._port.listen(listening)

    def serve(self, done: Callable[[], bool]) -> None:
        """Poll the sockets until ``done()``."""
        while not done():
            self._port.poll(self._now)
            for probe in [one for one in self._probes if isinstance(one, WebSocketProbe) and not one.open]:
                self._probes.remove(probe)
                self._add_other_request(probe.description)
            time.sleep(POLL_INTERVAL)

    def close(self) -> None:
        """Close the open connections; they are reported as far as they came."""
        for probe in self._probes:
            if not probe.over:
                probe.interrupt()
        self._port.close()

    def facts(self) -> list[dict[str, Any]]:
        """Return the facts about each call, in their order."""
        found = []
        for probe in self.ended:
            facts = probe.examination.facts()
            facts["recording"] = str(probe.saved) if probe.saved else None
            found.append(facts | {"remarks": remarks(facts)})
        return found

    def _examine_connection(self, request: Request, client: Address) -> WebSocketProbe:
        probe = WebSocketProbe(request, str(client), self._setup)
        self._probes.append(probe)
        return probe

    def _examine_stream(self, request: Request, client: Address) -> GrpcProbe:
        probe = GrpcProbe(request, str(client), self._setup)
        self._probes.append(probe)
        return probe

    def _client_address(self, request: Request, remote_address: Address) -> Address:
        try:
            return self._proxy_trust.client_address(remote_address, request.headers)
        except ConflictingHeaders:
            self._on_rejected("proxy_contradicts_itself", remote_address)
            raise GrpcError("INVALID_ARGUMENT", "X-Forwarded-For and Forwarded contradict.") from None

    def _on_rejected(self, reason: str, client: Address, detail: str = "", /) -> None:
        if reason != "no_upgrade":  # the probe of the request describes that
            self._add_other_request(f"{reason} from {client}: {detail or PORT_ADVICE[reason]}")

    def _on_error(self, error: Exception) -> None:
        self._add_other_request(f"an error in flowcore: {error!r}")

    def _add_other_request(self, what: str) -> None:
        self._tell(f"not a call: {what}")
        self.other_requests = [*self.other_requests, what][-MAX_OTHER_REQUESTS:]
