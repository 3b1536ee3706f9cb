"""The dates of a certificate chain, which OpenSSL serves without a word when they are over."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flowcore import EventType, Report
from flowcore.events import Level

EXPIRES_SOON = timedelta(days=14)
"""Time before the end of a certificate at which it is reported: half of what certbot leaves after a renewal is due."""

CERTIFICATE_EVENT = EventType(
    "certificate_outdated",
    "A certificate of the chain is not valid, or not for long: callers will hang up.",
    "warning",
    path="",
    reason="``expired``, ``expires_soon`` (within 14 days) or ``not_yet_valid``.",
    detail="Its place in the chain, and the date.",
    advice="",
)

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME = 0xA0, 0x17  # tags of DER (X.690)


def report_outdated(cert: Path, report: Report) -> None:
    """Report the certificates in the PEM file ``cert`` that are not valid now, or will not be for `EXPIRES_SOON`."""
    for reason, detail in outdated(cert, datetime.now(UTC)):
        level: Level = "warning" if reason == "expires_soon" else "error"
        advice = "correct this machine's clock" if reason == "not_yet_valid" else "renew it, and send SIGHUP"
        report.event(CERTIFICATE_EVENT.name, level=level, path=str(cert), reason=reason, detail=detail, advice=advice)


def outdated(cert: Path, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield reason and detail of each certificate in ``cert`` whose dates are a problem at ``now``."""
    chain = _PEM.findall(cert.read_text())
    for number, pem in enumerate(chain, 1):
        begins, ends = validity(ssl.PEM_cert_to_DER_cert(pem))
        which = f"certificate {number} of {len(chain)}"
        if now >= ends:
            yield "expired", f"{which} expired at {ends:%Y-%m-%d %H:%M} UTC"
        elif now < begins:
            yield "not_yet_valid", f"{which} is valid from {begins:%Y-%m-%d %H:%M} UTC"
        elif ends - now <= EXPIRES_SOON:
            yield "expires_soon", f"{which} expires at {ends:%Y-%m-%d %H:%M} UTC"


def validity(der: bytes) -> tuple[datetime, datetime]:
    """Return the first and the last moment of a certificate (RFC 5280, 4.1), which OpenSSL has accepted before."""
    (_, certificate), *_ = _elements(der)
    (_, signed), *_ = _elements(certificate)
    fields = [content for tag, content in _elements(signed) if tag != _VERSION]
    _serial, _algorithm, _issuer, dates, *_ = fields
    begins, ends = (_time(tag, content) for tag, content in _elements(dates))
    return begins, ends


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        yield tag, der[at : at + length]
        at += length


def _time(tag: int, content: bytes) -> datetime:
    form = "%y%m%d%H%M%SZ" if tag == _UTC_TIME else "%Y%m%d%H%M%SZ"
    return datetime.strptime(content.decode(), form).replace(tzinfo=UTC)
