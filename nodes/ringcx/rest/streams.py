"""Media Control: the requests that start and stop the audio stream of a running dialog.

RingCX has no request that lists streams, so the caller chooses the id of a stream and keeps it.
"""

from __future__ import annotations

from dataclasses import dataclass

from nodes.ringcx.rest.ids import path_segment
from nodes.ringcx.rest.platform import Request
from nodes.ringcx.rest.rate_limit import CONTROLS

PATH = "/voice/api/cx/integration/v1/accounts"


@dataclass(frozen=True)
class Dialog:
    """A running dialog, or with ``segment`` one participant's part of it.

    ``rc_account`` is the account in RingCentral, ``sub_account`` the one in RingCX that has the dialog.
    """

    dialog: str
    rc_account: str
    sub_account: str
    segment: str = ""

    def __str__(self) -> str:
        return f"segment {self.segment} of dialog {self.dialog}" if self.segment else f"dialog {self.dialog}"


def default_stream(dialog: Dialog) -> str:
    """Return the id of flowcore's stream of a dialog or segment, always the same."""
    return f"flowcore-{dialog.segment or dialog.dialog}"


def start(dialog: Dialog, stream: str, url: str, token: str) -> Request:
    """Stream a dialog to ``url``. RingCX passes ``token`` on to the receiver; an empty one is left out.

    Raises `UsageError` for an impossible id.
    """
    path_segment("stream id", stream)  # as it is needed to stop the stream
    body = {"url": url, "streamId": stream} | ({"token": token} if token else {})
    explanations = {
        404: f"{dialog} does not run: it is over, or the id is of something else, such as the UII; a dialog's id "
        "begins with s-v-, a segment's with p-v-",
        409: f"{dialog} has a stream {stream} already: stop it first, or choose another stream id",
    }
    unknown = "the stream may have started: look at `flowcore calls` before you start it again"
    return Request("POST", _path(dialog), body, _explanations(dialog) | explanations, unknown, CONTROLS)


def stop(dialog: Dialog, stream: str) -> Request:
    """End a stream. Raises `UsageError` for an impossible id."""
    explanations = {
        404: f"{dialog} has no stream {stream}, or is over",
        409: f"stream {stream} is just being started or stopped: look at `flowcore calls` before you try again",
    }
    unknown = "the stream may still run: look at `flowcore calls`"
    path = f"{_path(dialog)}/{path_segment('stream id', stream)}"
    return Request("DELETE", path, None, _explanations(dialog) | explanations, unknown, CONTROLS)


def _path(dialog: Dialog) -> str:
    accounts = (
        f"{path_segment('account id', dialog.rc_account)}/sub-accounts/"
        f"{path_segment('sub-account id', dialog.sub_account)}"
    )
    segment = f"/segments/{path_segment('segment id', dialog.segment)}" if dialog.segment else ""
    return f"{PATH}/{accounts}/dialogs/{path_segment('dialog id', dialog.dialog)}{segment}/streams"


def _explanations(dialog: Dialog) -> dict[int, str]:
    return {
        400: "it rejects the request: check the ids and the address",
        403: f"this user may not control streams of sub-account {dialog.sub_account} of RingCentral account "
        f"{dialog.rc_account}: check both ids, give the user of the JWT access to the sub-account, and ask RingCentral "
        "to enable call streaming",
    }
