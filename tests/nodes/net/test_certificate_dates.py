"""The dates of certificates, read from real ones."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from nodes.net.certificate_dates import outdated, validity

CA = trustme.CA()
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def chain(folder: Path, *dates: tuple[timedelta, timedelta]) -> Path:
    """A file with certificates of these dates, from `NOW` on."""
    path = folder / "chain.pem"
    for begins, ends in dates:
        issued = CA.issue_cert("localhost", not_before=NOW + begins, not_after=NOW + ends)
        issued.cert_chain_pems[0].write_to_path(path, append=True)
    return path


@pytest.mark.parametrize(
    ("begins", "ends", "reason", "detail"),
    [
        (-90 * DAY, -1 * DAY, "expired", "certificate 1 of 1 expired at 2026-06-14 12:00 UTC"),
        (-90 * DAY, 0 * DAY, "expired", "certificate 1 of 1 expired at 2026-06-15 12:00 UTC"),
        (-90 * DAY, 14 * DAY, "expires_soon", "certificate 1 of 1 expires at 2026-06-29 12:00 UTC"),
        (1 * DAY, 90 * DAY, "not_yet_valid", "certificate 1 of 1 is valid from 2026-06-16 12:00 UTC"),
    ],
)
def test_a_certificate_that_is_not_valid_for_14_days_is_named(
    tmp_path: Path, begins: timedelta, ends: timedelta, reason: str, detail: str
) -> None:
    assert list(outdated(chain(tmp_path, (begins, ends)), NOW)) == [(reason, detail)]


def test_a_certificate_with_more_than_14_days_is_not_named(tmp_path: Path) -> None:
    assert list(outdated(chain(tmp_path, (-DAY, 15 * DAY)), NOW)) == []


def test_an_intermediate_certificate_counts_too(tmp_path: Path) -> None:
    good, bad = (-DAY, 90 * DAY), (-90 * DAY, -DAY)
    assert [detail[:18] for _, detail in outdated(chain(tmp_path, good, bad), NOW)] == ["certificate 2 of 2"]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2049, 1, 1)), st.integers(1, 40_000))
def test_dates_of_any_certificate_are_those_that_cryptography_reads(begins: datetime, days: int) -> None:
    issued = CA.issue_cert("localhost", not_before=begins, not_after=begins + timedelta(days=days))
    certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    found = validity(certificate.public_bytes(Encoding.DER))
    assert found == (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
