"""Pages of other nodes of the graph, served on the listener's port, so that one certificate covers them all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from http import HTTPStatus

from websockets.http11 import Request

from flowcore import CannotStart, Host, Refused, Resource
from flowcore.addresses import Address
from nodes.net.peer import Page, Peer, Route
from nodes.net.rejection import OnRejected, ignore


class Site(Resource):
    """A resource with pages, which the graph's listener serves: see `flowcore.listener.Host.resources`."""

    lasting = True

    @abstractmethod
    def routes(self) -> Mapping[str, Route]:
        """Return the route of each path. Called in the event loop's thread, as all routes are."""

    @abstractmethod
    def links(self) -> Mapping[str, str]:
        """Return the pages to announce: a title, and the path and query to append to the port's address."""

    @abstractmethod
    def expose(self) -> None:
        """Other machines will reach the pages. Raises `CannotStart` if they must not."""


ALIVE = "/healthz"
READY = "/readyz"


def not_ready(host: Host) -> str:
    """Return the reason why a load balancer should send calls elsewhere; empty if it should not."""
    return host.objection or host.obstacle


def health_routes(host: Host) -> dict[str, Route]:
    """Return the routes that answer probes: `ALIVE` while the process runs, `READY` while it could take a call."""

    def alive(request: Request, client: Address) -> Page:
        return Page(HTTPStatus.OK, b"ok\n")

    def ready(request: Request, client: Address) -> Page:
        reason = not_ready(host)
        status = HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK
        return Page(status, f"{reason or 'ok'}\n".encode())

    return {ALIVE: alive, READY: ready}


def collect_routes(host: Host, exposed: bool, on_rejected: OnRejected = ignore) -> dict[str, Route]:
    """Return the routes of all sites of the graph. ``exposed`` says whether other machines reach the port.

    ``on_rejected`` is called for each request that is answered 403, so that the log shows attempts to guess a key, and
    for each that is answered 503.

    Raises `CannotStart` when two sites have the same path, or one must not be exposed.
    """
    routes: dict[str, Route] = {}
    for site in _sites(host):
        if host.public or exposed:
            site.expose()
        for path, route in site.routes().items():
            if path in routes:
                raise CannotStart(f"two nodes want to show pages at {path}: give both the same settings")
            routes[path] = _report_rejections(route, on_rejected)
    return routes


def _report_rejections(route: Route, on_rejected: OnRejected) -> Route:
    def reporting(request: Request, client: Address) -> Page | Peer:
        try:
            answer = route(request, client)
        except Refused:
            on_rejected("too_many_viewers", client)
            raise
        if isinstance(answer, Page) and answer.status == HTTPStatus.FORBIDDEN:
            on_rejected("no_page_access", client)
        return answer

    return reporting


def announce_pages(host: Host, base: str) -> None:
    """Announce the address of each page. ``base`` is the address of the port."""
    for site in _sites(host):
        for title, path in site.links().items():
            host.offer(title, base + path)


def _sites(host: Host) -> list[Site]:
    return [resource for resource in host.resources() if isinstance(resource, Site)]
