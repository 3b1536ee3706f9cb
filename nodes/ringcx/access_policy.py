"""Access control for calls: decided from the upgrade request and the messages up to Start, before there is a flow.

Bad credentials are answered 401 or 403, which makes RingCX give the call up; a lack of room is answered 503, after
which RingCX tries again. A call that turns out to be forbidden only at Start is closed with 1008.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl
from weakref import WeakSet

from websockets.http11 import Request

from flowcore import ConnectionCounter, Refused, Report
from flowcore.addresses import Address, in_networks
from nodes.net.peer import Page
from nodes.net.rejection import PORT_ADVICE
from nodes.ringcx.credentials import SENSITIVE_NAME, Credentials
from nodes.ringcx.listener_config import ListenerConfig
from nodes.ringcx.messages import attributes

ACCOUNTS = ("account_id", "sub_account_id", "rc_account_id")
"""The attributes of a call that name its account."""

ADVICE = PORT_ADVICE | {
    "foreign_network": "add the caller's network to networks, or block it in the firewall",
    "foreign_origin": "add the web page's origin to origins if its calls are wanted",
    "no_secret": "give the caller the secret; secret_mode: observe shows where it comes",
    "too_many_of_address": "raise max_calls_per_ip; the caller was told to try again",
    "unlisted_account": "add the account to accounts if its calls are wanted",
    "wrong_secret": "compare the secret of the streaming profile or the credentials with `secret`",
}
"""What would help against a rejection, by its reason."""

RETRY_AFTER = 5.0
"""Seconds after which an address that holds its maximum of calls is told to try again."""


class AccessPolicy:
    """Enforces the rules of ``config``, and reports rejections. ``connections`` counts the calls of each address."""

    def __init__(self, config: ListenerConfig, report: Report, connections: ConnectionCounter) -> None:
        self.config = config
        self.mode = config.secret_mode
        self.connections = connections
        self.credentials = Credentials(config.secret.get_secret_value()) if config.secret else None
        self._origins = {origin.lower().rstrip("/") for origin in config.origins}
        self._report = report
        self._admissions: WeakSet[Admission] = WeakSet()

    @property
    def expecting(self) -> bool:
        """Whether a call of an admitted connection has not started yet."""
        return any(admission.expecting for admission in self._admissions)

    def admit(self, request: Request, client: Address) -> Admission | Page:
        """Admit a request for now, or answer it with an error. Raises `Refused` when there are too many calls."""
        config = self.config
        origins = request.headers.get_all("Origin")
        if config.networks and not in_networks(client, config.networks):
            return self._forbid("foreign_network", client, "Calls from this address are not taken.")
        if any(origin.lower() not in self._origins for origin in origins):
            return self._forbid("foreign_origin", client, "Web pages of this origin may not call.")
        query = attributes(parse_qsl(request.path.partition("?")[2]), "query")
        if any(query.get(name) for name in ACCOUNTS) and not self.is_account_allowed(query):
            return self._forbid("unlisted_account", client, "Calls of this account are not taken.")
        credentials = self.credentials if self.mode != "off" else None
        place = credentials.find_in_request(request) if credentials else ""
        if config.secret_required and not place and Credentials.are_presented(request):
            self.report_rejection("wrong_secret", client)
            headers = {"Content-Type": "text/plain", "WWW-Authenticate": "Bearer"}
            return Page(HTTPStatus.UNAUTHORIZED, b"These are not the right credentials.\n", headers)
        limit = config.max_calls_per_ip
        if limit is not None and self.connections.count(str(client)) >= limit:
            self.report_rejection("too_many_of_address", client)
            raise Refused("too many calls from this address", retry_after=RETRY_AFTER)
        admission = Admission(self, client, place)
        self._admissions.add(admission)
        return admission

    def is_account_allowed(self, call: Mapping[str, str]) -> bool:
        """Return whether one of the accounts that a call names is listed."""
        return not self.config.accounts or any(call.get(name, "") in self.config.accounts for name in ACCOUNTS)

    def report_rejection(self, reason: str, client: Address, detail: str = "", /) -> None:
        """Report a rejected connection or request, for one of the reasons in `ADVICE`."""
        self._report.event("caller_rejected", reason=reason, address=str(client), detail=detail, advice=ADVICE[reason])

    def _forbid(self, reason: str, client: Address, text: str) -> Page:
        self.report_rejection(reason, client)
        return Page(HTTPStatus.FORBIDDEN, text.encode() + b"\n")


class Admission:
    """The access policy's record of one admitted connection; ``secret_place`` is where the secret was found so far."""

    def __init__(self, policy: AccessPolicy, client: Address, secret_place: str = "") -> None:
        self.secret_place = secret_place
        self.expecting = True
        """Whether the call may still start: neither has it, nor has the connection ended."""
        self._policy = policy
        self._client = client

    @property
    def address(self) -> str:
        """The client's address, for the log."""
        return str(self._client)

    @property
    def observing(self) -> bool:
        """Whether the place of the secret is to be reported."""
        return self._policy.credentials is not None and self._policy.mode == "observe"

    @property
    def searching(self) -> bool:
        """Whether the secret is still to be searched for."""
        return self._policy.credentials is not None and self._policy.mode != "off" and not self.secret_place

    def opened(self) -> None:
        """Count the open connection for its address."""
        if self._policy.config.max_calls_per_ip is not None:
            self._policy.connections.add(str(self._client))

    def closed(self) -> None:
        """Stop counting the connection for its address."""
        self.expecting = False
        if self._policy.config.max_calls_per_ip is not None:
            self._policy.connections.remove(str(self._client))

    def search(self, text: bytes) -> None:
        """Search a message for the secret."""
        if self._policy.credentials is not None:
            self.secret_place = self._policy.credentials.find_in_message(text)

    def objection(self, call: Mapping[str, str]) -> str:
        """Return why a call with these attributes is not allowed, as a text for the peer; empty when it is."""
        if self._policy.config.secret_required and not self.secret_place:
            self._policy.report_rejection("no_secret", self._client)
            return "no valid credentials"
        if not self._policy.is_account_allowed(call):
            self._policy.report_rejection("unlisted_account", self._client)
            return "calls of this account are not taken"
        return ""

    def redact(self, call: Mapping[str, str]) -> dict[str, str]:
        """Return the attributes without credentials, and without those that are named like one."""
        credentials = self._policy.credentials
        return {
            name: value
            for name, value in call.items()
            if not SENSITIVE_NAME.search(name) and not (credentials and credentials.occur_in(value))
        }
