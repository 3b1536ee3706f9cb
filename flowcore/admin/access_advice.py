"""Advice for a client that the admin API turned away, in the log and in the answer."""

from __future__ import annotations

from typing import Final

ADVICE: Final = {
    "no_token": "send the header  Authorization: Bearer TOKEN  with a token of the environment of flowcore run",
    "wrong_token": "somebody may be guessing: see the address; the tokens are in the environment of flowcore run",
    "foreign_site": "a page of another site, or a name for 127.0.0.1: open http://127.0.0.1, or set a token",
    "foreign_page": "a page of another site sent a command: only pages of this port may",
    "listen_token": "it was used already, or is older than 10 seconds: make another one",
    "read_token": "this token only reads: listening and control need that of FLOWCORE_ADMIN_TOKEN",
    "token_unset": "other users of this machine could listen and control: set FLOWCORE_ADMIN_TOKEN",
    "no_trusted_proxy": "add the proxy's network to --admin-behind-proxy, or give --admin-cert and --admin-key",
    "too_many_commands": "commands come faster than they are carried out: the client was told to try again",
    "too_many_readers": "close event streams: the client was told to try again",
    "slow_reader": "the reader left too many events unread, and was disconnected; it may connect again",
}
"""What would help, by the reason of ``admin_rejected``."""
