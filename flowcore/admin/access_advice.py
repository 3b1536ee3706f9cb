"""Advice for a client that the admin API turned away, in the log and in the answer."""

from __future__ import annotations

from typing import Final

ADVICE: Final = {
    "no_token": "send the header  Authorization: Bearer TOKEN  with the token of FLOWCORE_ADMIN_TOKEN",
    "wrong_token": "somebody may be guessing: see the address; the token is that of FLOWCORE_ADMIN_TOKEN",
    "foreign_site": "a page of another site, or a name for 127.0.0.1: open http://127.0.0.1, or set a token",
    "no_trusted_proxy": "add the proxy's network to --admin-behind-proxy, or give --admin-cert and --admin-key",
    "too_many_readers": "close event streams: the client was told to try again",
    "slow_reader": "the reader left too many events unread, and was disconnected; it may connect again",
}
"""What would help, by the reason of ``admin_rejected``."""
