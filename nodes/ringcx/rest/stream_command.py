"""``flowcore stream``: starts and stops the audio stream of a running call."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from nodes.ringcx.rest import active_calls, address, streams
from nodes.ringcx.rest.active_calls import ActiveCall
from nodes.ringcx.rest.platform import Request
from nodes.ringcx.rest.request_command import (
    LOGIN_HELP,
    RcAccount,
    SubAccount,
    checked_url,
    request_command,
    secret_from_environment,
)
from nodes.ringcx.rest.streams import Dialog

stream = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help=f"""Start or stop the audio of a running call at its source.

    After `stop` the receiver gets nothing of what is said, such as the number of a card. RingCX has no request that
    lists streams: `flowcore calls` shows those that arrive here.

    {LOGIN_HELP}""",
)

DialogId = Annotated[str, typer.Option("--dialog", help="The dialog's id, such as s-v-…; not the UII.")]
SegmentId = Annotated[str, typer.Option("--segment", help="Only this participant's segment, such as p-v-….")]
StreamId = Annotated[
    str, typer.Option("--id", help='The id of the stream. Default: "flowcore-" and the id of the dialog or segment.')
]
Uii = Annotated[str, typer.Option("--call", help="The call's UII, as {{model.call.uii}} in the agent's script.")]
State = Annotated[Literal["on", "off"], typer.Argument(metavar="on|off", case_sensitive=False)]


def _dialog(dialog: DialogId, rc_account: RcAccount, sub_account: SubAccount, segment: SegmentId = "") -> Dialog:
    return Dialog(dialog, rc_account, sub_account, segment)


def _call(uii: Uii, sub_account: SubAccount) -> ActiveCall:
    return ActiveCall(uii, sub_account)


_of_dialog = request_command(stream, _dialog)
_of_call = request_command(stream, _call)


@_of_dialog
def start(
    dialog: Dialog,
    url: Annotated[str, typer.Option(help="wss://HOST[:PORT][/PATH] or grpc://HOST[:PORT] of `flowcore run`.")],
    stream: StreamId = "",
) -> tuple[Request, str]:
    """Start a stream. RingCX presents RINGCX_SECRET to the receiver as the token of the stream."""
    stream = stream or streams.default_stream(dialog)
    request = streams.start(dialog, stream, checked_url(address.check_destination, url), secret_from_environment())
    return request, f"started stream {stream} of {dialog}"


@_of_dialog
def stop(dialog: Dialog, stream: StreamId = "") -> tuple[Request, str]:
    """Stop a stream, with the id that started it."""
    stream = stream or streams.default_stream(dialog)
    return streams.stop(dialog, stream), f"stopped stream {stream} of {dialog}"


@_of_call
def recording(call: ActiveCall, state: State) -> tuple[Request, str]:
    """Switch RingCX's own recording of a call; streams go on."""
    return active_calls.record(call, state == "on"), f"recording of {call}: {state}"


@_of_call
def hold(call: ActiveCall, state: State) -> tuple[Request, str]:
    """Put a call on hold, or take it off hold."""
    return active_calls.hold(call, state == "on"), f"hold of {call}: {state}"
