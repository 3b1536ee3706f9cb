"""The request ``live``: which of the live calls to show, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from flowcore.errors import UsageError

Sort = Literal["trouble", "oldest", "newest", "lost", "queue", "latency", "id"]
MAX_CALLS: Final = 200
"""Calls in one answer at most: 100 KB, which the event loop of the run sends at once."""
MAX_OFFSET: Final = 100_000
MAX_EVENTS: Final = 100
"""Events of each process in one answer at most."""
MAX_MATCH: Final = 256
"""Characters of a text to look for."""


class LiveQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the live calls with an id that contains ``match``, and what to show beside them.

    ``levels`` are those of the calls on the page; ``nodes`` the sums by node of the whole run; ``events`` so many of
    the latest events of each process.
    """

    sort: Sort = "trouble"
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_CALLS)] = 50
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)] = 0
    match: Annotated[str, msgspec.Meta(max_length=MAX_MATCH)] = ""
    levels: bool = True
    nodes: bool = False
    events: Annotated[int, msgspec.Meta(ge=0, le=MAX_EVENTS)] = 0

    @classmethod
    def parse(cls, request: Mapping[str, Any]) -> LiveQuery:
        """Return the query in a request. Raises `UsageError`."""
        try:
            return msgspec.convert(request, cls)
        except msgspec.ValidationError as error:
            raise UsageError(str(error)) from None

    def request(self) -> dict[str, Any]:
        """Return the request for a hub."""
        return {"ask": "live", **msgspec.to_builtins(self)}
