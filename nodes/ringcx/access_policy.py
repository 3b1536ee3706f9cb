"""Who may make a call: decided from the upgrade request, and from what is said up to Start, before there is a flow.

Bad credentials are answered 401 or 403, which makes RingCX give the call up; a lack of room is 503, after which it
tries again. What cannot be told before Start closes the connection with 1008.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qsl

from websockets.http11 import Request

from flowcore import ConnectionCounter, Refused, Report
from nodes.net.peer import Page
from nodes.net.proxy_trust import Address, Network, in_networks
from nodes.ringcx.credentials import Credentials
from nodes.ringcx.protocol import attributes

ACCOUNTS = ("account_id", "sub_account_id", "rc_account_id")
"""What a call says of whose it is."""

TELL = 1.0
"""Seconds between two lines of the log about the same reason: whoever knocks often must not fill it."""

SENSITIVE = re.compile("secret|token|password|authorization|credential", re.IGNORECASE)
"""Names of what nobody behind the door may see, whether it is checked or not."""

AGAIN = 5.0
"""Seconds after which an address that holds all the calls it may is told to try again."""

SecretMode = Literal["off", "observe", "require"]


@dataclass(frozen=True)
class Rules:
    """What a call must show; each that is empty asks for nothing.

    ``networks`` are addresses that may call, ``origins`` the web pages that may, ``accounts`` the ids of which a call
    must name one, and ``per_address`` the calls that one address may hold at once.
    """

    secret: str = ""
    mode: SecretMode = "require"
    networks: Sequence[Network] = ()
    origins: Collection[str] = ()
    accounts: Collection[str] = ()
    per_address: int | None = None

    @property
    def required(self) -> bool:
        """Whether a call must show the secret."""
        return bool(self.secret) and self.mode == "require"

    @property
    def guarded(self) -> bool:
        """Whether anything keeps strangers out; an account's id is no credential."""
        return self.required or bool(self.networks)


class AccessPolicy:
    """Keeps ``rules``, with the calls of an address in ``callers``; once a second it reports who was turned away."""

    def __init__(self, rules: Rules, report: Report, callers: ConnectionCounter) -> None:
        self.rules = rules
        self.callers = callers
        self.credentials = Credentials(rules.secret) if rules.secret else None
        self._report = report
        self._refused: dict[str, tuple[int, Address]] = {}
        self._told = float("-inf")

    def ask(self, request: Request, caller: Address) -> Admission | Page:
        """Let a request in for now, or answer it with an error. Raises `Refused` when there are too many."""
        rules = self.rules
        origin = request.headers.get_all("Origin")
        if rules.networks and not in_networks(caller, rules.networks):
            return self._forbid("foreign_network", caller, "Calls from this address are not taken.")
        if any(one.lower() not in rules.origins for one in origin):
            return self._forbid("foreign_origin", caller, "Web pages of this origin may not call.")
        said = attributes(parse_qsl(request.path.partition("?")[2]), "query")
        if any(said.get(name) for name in ACCOUNTS) and not self.knows_account(said):
            return self._forbid("unlisted_account", caller, "Calls of this account are not taken.")
        credentials = self.credentials if rules.mode != "off" else None
        found = credentials.in_request(request) if credentials else ""
        if rules.required and not found and Credentials.told_by(request):
            self.turned_away("wrong_secret", caller)
            headers = {"Content-Type": "text/plain", "WWW-Authenticate": "Bearer"}
            return Page(HTTPStatus.UNAUTHORIZED, b"These are not the right credentials.\n", headers)
        if rules.per_address is not None and self.callers.count(str(caller)) >= rules.per_address:
            self.turned_away("too_many_of_address", caller)
            raise Refused("too many calls from this address", retry_after=AGAIN)
        return Admission(self, caller, found)

    def knows_account(self, said: Mapping[str, str]) -> bool:
        """Whether one of the accounts is listed that a call names."""
        return not self.rules.accounts or any(said.get(name, "") in self.rules.accounts for name in ACCOUNTS)

    def turned_away(self, reason: str, caller: Address) -> None:
        """Count somebody who was not let in."""
        self._refused[reason] = (self._refused.get(reason, (0, caller))[0] + 1, caller)

    def poll(self, now: float) -> None:
        """Tell who was turned away since the last time: by reason, how many, and the last one's address."""
        if self._refused and now - self._told >= TELL:
            self._told = now
            for reason, (times, caller) in self._refused.items():
                self._report.event("turned_away", reason=reason, times=times, address=str(caller))
            self._refused.clear()

    def _forbid(self, reason: str, caller: Address, text: str) -> Page:
        self.turned_away(reason, caller)
        return Page(HTTPStatus.FORBIDDEN, text.encode() + b"\n")


class Admission:
    """One connection that was let in, until it has said Start; ``place`` is where the secret was found so far."""

    def __init__(self, doorman: AccessPolicy, caller: Address, place: str = "") -> None:
        self.place = place
        self._doorman = doorman
        self._caller = caller

    @property
    def watched(self) -> bool:
        """Whether it is of interest where the secret is."""
        return self._doorman.credentials is not None and self._doorman.rules.mode == "observe"

    @property
    def looking(self) -> bool:
        """Whether the secret is still to be looked for."""
        return self._doorman.credentials is not None and self._doorman.rules.mode != "off" and not self.place

    def opened(self) -> None:
        """The connection is open: it takes a place of its address."""
        if self._doorman.rules.per_address is not None:
            self._doorman.callers.add(str(self._caller))

    def closed(self) -> None:
        """It has ended."""
        if self._doorman.rules.per_address is not None:
            self._doorman.callers.remove(str(self._caller))

    def heard(self, text: bytes) -> None:
        """Look for the secret in a message."""
        if self._doorman.credentials is not None:
            self.place = self._doorman.credentials.in_message(text)

    def objection(self, said: Mapping[str, str]) -> str:
        """Why a call that says this of itself by Start may not be, as a text for the caller; empty when it may."""
        if self._doorman.rules.required and not self.place:
            self._doorman.turned_away("no_secret", self._caller)
            return "no valid credentials"
        if not self._doorman.knows_account(said):
            self._doorman.turned_away("unlisted_account", self._caller)
            return "calls of this account are not taken"
        return ""

    def clean(self, said: Mapping[str, str]) -> dict[str, str]:
        """What may be known of the call behind the door: nothing that is a credential, or is named like one."""
        credentials = self._doorman.credentials
        return {
            name: value
            for name, value in said.items()
            if not SENSITIVE.search(name) and not (credentials and credentials.masks(value))
        }
