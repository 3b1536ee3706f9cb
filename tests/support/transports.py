"""A call over either transport of one port, in a test's hands."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlencode

from tests.support.phone import Phone
from tests.support.phone_grpc import GrpcPhone

Transport = Literal["websocket", "grpc"]
TRANSPORTS: tuple[Transport, ...] = ("websocket", "grpc")
AnyPhone = Phone | GrpcPhone


def dial(transport: Transport, url: str, call: str = "one", *, dialog_id: str = "", **attributes: str) -> AnyPhone:
    """Begin a call. RingCX's Start has no dialog id: over WebSocket the address has it."""
    if transport == "grpc":
        ids = {"dialog_id": dialog_id} if dialog_id else {}
        phone: AnyPhone = GrpcPhone(url.rstrip("/"), call, **ids, **attributes)
    else:
        query = "?" + urlencode({"dialogId": dialog_id}) if dialog_id else ""
        phone = Phone(url + query, call, **attributes)
    phone.start()
    return phone


def hang_up(phone: AnyPhone) -> None:
    if isinstance(phone, Phone):
        phone.stop()
    phone.hang_up()
