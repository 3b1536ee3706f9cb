"""The config that the RingCX listeners share."""

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from nodes.net.tls import TlsFiles
from nodes.ringcx.listener_config import ListenerConfig

SECRET = "s3cret-of-ours"  # of no one


def warnings(config: ListenerConfig, public: str = "") -> list[str]:
    """Return the events with which a config warns its host."""
    events: list[str] = []
    report = SimpleNamespace(event=lambda name, **data: events.append(name))
    host: Any = SimpleNamespace(report=report, public=public)
    config.warn(host)
    return events


@pytest.mark.parametrize("mode", ["observe", "require"])
def test_a_secret_mode_without_a_secret_is_refused(mode: str) -> None:
    with pytest.raises(ValidationError, match=f"secret_mode {mode} needs a secret"):
        ListenerConfig(secret_mode=mode)


def test_a_port_in_the_clear_is_for_this_machine_or_a_proxy() -> None:
    with pytest.raises(ValidationError, match="through the network in the clear"):
        ListenerConfig(host="0.0.0.0")
    assert not ListenerConfig().exposed
    assert ListenerConfig(host="::1", behind_proxy=("10.0.0.0/8",)).exposed


@pytest.mark.parametrize(
    ("settings", "public", "events"),
    [
        ({}, "", []),
        ({}, "wss://x.example", ["port_unprotected"]),
        ({"behind_proxy": ("10.0.0.0/8",)}, "", ["port_unprotected"]),
        ({"networks": ("10.0.0.0/8",)}, "wss://x.example", []),
        ({"secret": SECRET}, "wss://x.example", []),
        ({"secret": SECRET, "secret_mode": "observe"}, "wss://x.example", ["port_unprotected"]),
    ],
)
def test_an_exposed_port_without_a_guard_is_reported(settings: dict[str, Any], public: str, events: list[str]) -> None:
    assert warnings(ListenerConfig(**settings), public) == events


def test_the_address_has_the_scheme_and_brackets() -> None:
    assert ListenerConfig().address("ws", 1) == "ws://127.0.0.1:1"
    assert ListenerConfig(host="::1").address("ws", 2) == "ws://[::1]:2"
    assert ListenerConfig(tls=TlsFiles(cert="a", key="b")).address("ws", 3) == "wss://127.0.0.1:3"
