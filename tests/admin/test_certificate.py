"""A renewed certificate is for new connections."""

import os
import ssl

import pytest
import trustme

from flowcore.admin.certificate import ReloadedCertificate
from tests.support.admin_api import SECRET, api


def write(folder, authority, name="127.0.0.1"):
    cert = authority.issue_cert(name)
    cert.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    cert.private_key_pem.write_to_path(folder / "key.pem")
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def authority():
    return trustme.CA()


def test_the_api_is_served_over_tls(tmp_path, authority):
    cert, key = write(tmp_path, authority)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    with api(tmp_path / "gone", SECRET, cert=str(cert), key=str(key), verify=trust) as opened:
        assert opened.url.startswith("https://")
        assert opened.get("/v1/version").status_code == 200


def test_files_are_read_again_when_they_change_and_wrong_ones_are_told_and_not_taken(tmp_path, authority):
    failed = []
    files = write(tmp_path, authority)
    certificate = ReloadedCertificate(*files, failed.append)
    first = certificate.context
    files[1].write_text("no key")
    certificate.check()
    certificate.check()
    assert len(failed) == 1
    assert "stays as it was" in failed[0]
    write(tmp_path, authority)
    os.utime(files[1], ns=(1, 1))
    certificate.check()
    assert len(failed) == 1
    assert certificate.context is first
