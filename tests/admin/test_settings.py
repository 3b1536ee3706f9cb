"""Where the admin API may listen, and what that needs."""

from pathlib import Path

import pytest
import trustme

from flowcore import CannotStart
from flowcore.admin.settings import READ_TOKEN, TOKEN, AdminSettings, tokens
from flowcore.errors import UsageError

SECRET = "0123456789abcdef"


@pytest.fixture
def certificate(tmp_path):
    cert = trustme.CA().issue_cert("localhost")
    cert.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    cert.private_key_pem.write_to_path(tmp_path / "key.pem")
    return tmp_path / "cert.pem", tmp_path / "key.pem"


@pytest.fixture(autouse=True)
def _without_token(monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.delenv(READ_TOKEN, raising=False)


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [
        ("9090", "127.0.0.1", 9090),
        (":9090", "127.0.0.1", 9090),
        ("localhost:0", "localhost", 0),
        ("[::1]:9090", "::1", 9090),
    ],
)
def test_an_address_is_this_machines_unless_it_has_a_host(address, host, port):
    settings = AdminSettings.parse(address)
    assert (settings.host, settings.port, settings.scheme) == (host, port, "http")


@pytest.mark.parametrize("address", ["", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "70000", "-1", "1.5"])
def test_an_address_without_a_port_is_refused_with_an_example(address):
    with pytest.raises(UsageError, match="give a port, like 9090"):
        AdminSettings.parse(address)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "admin.example"])
def test_other_machines_need_the_token(host, certificate):
    with pytest.raises(UsageError, match=f"set {TOKEN}"):
        AdminSettings.parse(f"{host}:9090", *certificate)


def test_a_proxy_on_this_machine_needs_the_token(monkeypatch):
    with pytest.raises(UsageError, match=f"set {TOKEN}"):
        AdminSettings.parse("9090", behind_proxy=["127.0.0.0/8"])
    monkeypatch.setenv(TOKEN, SECRET)
    assert AdminSettings.parse("9090", behind_proxy=["127.0.0.0/8"]).proxies


def test_the_token_crosses_no_network_in_the_clear(monkeypatch, certificate):
    monkeypatch.setenv(TOKEN, SECRET)
    with pytest.raises(UsageError, match="in the clear: give --admin-cert"):
        AdminSettings.parse("0.0.0.0:9090")
    assert AdminSettings.parse("0.0.0.0:9090", *certificate).scheme == "https"
    assert AdminSettings.parse("0.0.0.0:9090", behind_proxy=["10.0.0.0/8"]).scheme == "http"


@pytest.mark.parametrize("variable", [TOKEN, READ_TOKEN])
@pytest.mark.parametrize(
    ("token", "text"), [("0123456789abcde", "too short"), ("0123456789 abcdef", "ASCII"), ("é" * 16, "ASCII")]
)
def test_a_token_that_can_be_guessed_or_not_sent_is_refused_without_showing_it(monkeypatch, token, text, variable):
    monkeypatch.setenv(variable, token)
    with pytest.raises(UsageError, match=text) as error:
        AdminSettings.parse("9090")
    assert str(error.value).startswith(variable)
    assert token not in str(error.value)


def test_a_token_that_only_reads_may_be_the_only_one_and_is_not_the_other_one(monkeypatch, certificate):
    monkeypatch.setenv(READ_TOKEN, SECRET)
    AdminSettings.parse("0.0.0.0:9090", *certificate)
    assert tokens() == {"read": SECRET}
    monkeypatch.setenv(TOKEN, SECRET)
    with pytest.raises(UsageError, match="give them different ones"):
        AdminSettings.parse("9090")
    monkeypatch.setenv(TOKEN, SECRET[::-1])
    AdminSettings.parse("9090")
    assert tokens() == {"admin": SECRET[::-1], "read": SECRET}


def test_a_network_that_is_none_is_named(monkeypatch):
    monkeypatch.setenv(TOKEN, SECRET)
    with pytest.raises(UsageError, match="--admin-behind-proxy: 'nginx' does not appear to be"):
        AdminSettings.parse("9090", behind_proxy=["nginx"])


def test_a_certificate_needs_its_key_and_both_must_be_readable(certificate):
    with pytest.raises(UsageError, match="give both"):
        AdminSettings.parse("9090", certificate[0])
    with pytest.raises(CannotStart, match="cannot read"):
        AdminSettings.parse("9090", certificate[0], Path("/nowhere.pem"))
