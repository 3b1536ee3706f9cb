"""Pages that other nodes of the graph want served: on the listener's port, so that one certificate does for all."""

from __future__ import annotations

import ipaddress
from abc import abstractmethod
from collections.abc import Mapping

from flowcore import CannotStart, Host, Part
from nodes.net.port import Route


class Site(Part):
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


def pages(host: Host, address: str) -> dict[str, Route]:
    """The paths of all sites of the graph whose listener will listen at ``address``, a name or a number.

    Raises `CannotStart` when two want the same path, or one must not be shown beyond this machine.
    """
    found: dict[str, Route] = {}
    for site in _sites(host):
        if host.public or not is_loopback(address):
            site.expose()
        for path, route in site.routes().items():
            if path in found:
                raise CannotStart(f"two nodes want to show pages at {path}: give both the same settings")
            found[path] = route
    return found


def offer(host: Host, base: str) -> None:
    """Say where the pages are, ``base`` being the address of the port."""
    for site in _sites(host):
        for what, path in site.shown().items():
            host.offer(what, base + path)


def _sites(host: Host) -> list[Site]:
    return [part for part in host.parts() if isinstance(part, Site)]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
