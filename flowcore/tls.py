"""TLS of flowcore's ports: one set of rules for all of them."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path

from flowcore.errors import CannotStart


def server_context(cert: Path, key: Path, protocols: Sequence[str]) -> ssl.SSLContext:
    """Return the context of a server with this certificate chain and key, in PEM files: TLS 1.2 and 1.3.

    ``protocols`` are offered by ALPN, in the order in which the server chooses. Raises `CannotStart` when the files
    cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a renegotiation costs the server more than the client
    context.set_alpn_protocols(list(protocols))
    for path, field in ((cert, "tls.cert"), (key, "tls.key")):
        try:
            path.read_bytes()
        except OSError as error:
            raise CannotStart(f"cannot read {path}: {error.strerror}", field=field) from None
    try:
        context.load_cert_chain(cert, key, password="")  # without one OpenSSL would prompt at the terminal
    except (ssl.SSLError, ValueError) as error:
        problem = f"{cert} and {key} are not a certificate chain and an unencrypted key in PEM format"
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            problem = f"{key} is not the key of the certificate in {cert}: give the two that were made together"
        raise CannotStart(problem, field="tls") from None
    return context
