"""Checks of a public address with a call that ends at once, and with its pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from nodes.ringcx.setup.check import NO_FLOWCORE, Check, Failed, explain_status
from nodes.ringcx.setup.network import trust

TIMEOUT = 10.0
"""Seconds for an answer."""

LOGGED = "the graph's log has a start_missing of this test"


def check_websocket(host: str, port: int, ca: Path | None, secret: str) -> Iterator[Check]:
    """Open a WebSocket as RingCX does, with the secret, and close it. Raises `Failed`."""
    try:
        asyncio.run(_open_and_close(f"wss://{host}:{port}/", ca, secret))
    except InvalidStatus as error:
        raise Failed(explain_status(error.response.status_code)) from None
    except (InvalidHandshake, OSError, EOFError) as error:
        raise Failed(f"no WebSocket ({error}): {NO_FLOWCORE}") from None
    yield Check("ok", "WebSocket", f"a call is let in; {LOGGED}")


async def _open_and_close(url: str, ca: Path | None, secret: str) -> None:
    # Not with websockets.sync: its two threads use one TLS connection at once, and now and then no answer came.
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    async with connect(
        url,
        ssl=trust(ca),
        additional_headers=headers,
        compression=None,
        proxy=None,
        open_timeout=TIMEOUT,
        close_timeout=TIMEOUT,
    ):
        pass


def check_grpc(host: str, port: int, ca: Path | None, secret: str) -> Iterator[Check]:
    """Open a stream as RingCX does, with the secret, and end it. Raises `Failed`."""
    import grpc

    from nodes.ringcx.dialog_sender import METHOD

    credentials = grpc.ssl_channel_credentials(ca.read_bytes() if ca else None)
    metadata = [("authorization", secret)] if secret else None
    with grpc.secure_channel(f"{host}:{port}", credentials, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.stream_unary(METHOD)(iter(()), timeout=TIMEOUT, metadata=metadata)
        except grpc.RpcError as error:
            raise Failed(_explain(error.code().name, error.details() or "")) from None
    yield Check("ok", "gRPC", f"a call is let in; {LOGGED}")


def check_page(host: str, port: int, ca: Path | None, path: str) -> Iterator[Check]:
    """Request a page without its key; flowcore answers with the page, or that there is no access. Raises `Failed`."""
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=trust(ca)))
    try:
        with opener.open(f"https://{host}:{port}{path}", timeout=TIMEOUT) as answer:
            status, server = answer.status, answer.headers
    except HTTPError as error:
        status, server = error.code, error.headers
        error.close()
    except (URLError, OSError) as error:
        raise Failed(f"no page at {path} ({getattr(error, 'reason', error)})") from None
    if status not in (200, 403) or "Content-Security-Policy" not in server:
        raise Failed(f"no page at {path}: {explain_status(404 if status in (200, 403) else status)}")
    yield Check("ok", "page", f"{path} is served")


def _explain(code: str, details: str) -> str:
    """Return what the status of a stream means, and what would help."""
    for status in (404, 502, 503, 504):
        if f"status: {status}" in details:
            return explain_status(status)
    advice = {
        "UNAUTHENTICATED": "the secret is not the graph's, or the proxy takes the header authorization away",
        "PERMISSION_DENIED": "networks excludes this machine, or the proxy is not in behind_proxy",
        "UNIMPLEMENTED": "the proxy has no rule for gRPC, or leads to another program",
        "DEADLINE_EXCEEDED": "the proxy keeps the request for itself: it must pass on its beginning at once",
        "CANCELLED": "flowcore refuses the call, behind HAProxy: its log says why",
    }
    return f"the stream ends with {code} {details}: {advice.get(code, NO_FLOWCORE)}"
