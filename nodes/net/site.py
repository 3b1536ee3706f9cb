"""Pages that other nodes of the graph want served: on the listener's port, so that one certificate does for all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from http import HTTPStatus

from websockets.http11 import Request

from flowcore import CannotStart, Host, Resource
from nodes.net.peer import Page, Peer, Route
from nodes.net.proxy_trust import Address


class Site(Resource):
    """A part with pages; the graph's listener serves them: see `flowcore.node.Host.parts`."""

    @abstractmethod
    def routes(self) -> Mapping[str, Route]:
        """What answers each path. Called in the event loop's thread, as all routes are."""

    @abstractmethod
    def shown(self) -> Mapping[str, str]:
        """What there is to look at, and the path and query to paste behind the address of the port."""

    @abstractmethod
    def expose(self) -> None:
        """Others than users of this machine will reach the pages; raises `CannotStart` where they must not."""


def pages(
    host: Host, exposed: bool, turned_away: Callable[[str, Address], None] = lambda reason, address: None
) -> dict[str, Route]:
    """The paths of all sites of the graph; ``exposed`` says whether others than this machine's users will reach them.

    ``turned_away`` is told of who may not look: guessing a key should be seen in the log.

    Raises `CannotStart` when two want the same path, or one must not be shown beyond this machine.
    """
    found: dict[str, Route] = {}
    for site in _sites(host):
        if host.public or exposed:
            site.expose()
        for path, route in site.routes().items():
            if path in found:
                raise CannotStart(f"two nodes want to show pages at {path}: give both the same settings")
            found[path] = _watched(route, turned_away)
    return found


def _watched(route: Route, turned_away: Callable[[str, Address], None]) -> Route:
    def watched(request: Request, caller: Address) -> Page | Peer:
        answer = route(request, caller)
        if isinstance(answer, Page) and answer.status == HTTPStatus.FORBIDDEN:
            turned_away("may_not_look", caller)
        return answer

    return watched


def offer(host: Host, base: str) -> None:
    """Say where the pages are, ``base`` being the address of the port."""
    for site in _sites(host):
        for what, path in site.shown().items():
            host.offer(what, base + path)


def _sites(host: Host) -> list[Site]:
    return [part for part in host.resources() if isinstance(part, Site)]
