"""Connections and defects of the admin process."""

import socket

from flowcore.admin import server
from tests.support.admin_api import SECRET, api
from tests.support.live import PATIENCE


def test_a_connection_without_a_request_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.01)
    with api(tmp_path / "gone", SECRET) as opened:
        host, port = opened.url.removeprefix("http://").split(":")
        for sent in (b"", b"GET /v1/calls HTTP/1.1\r\nHost: "):
            with socket.create_connection((host, int(port)), timeout=PATIENCE) as hung:
                hung.sendall(sent)
                assert hung.recv(1) == b""


def test_a_defect_is_500_and_reported_in_one_line(tmp_path):
    with api(tmp_path / "gone", SECRET, described={}) as opened:
        answer = opened.get("/v1/version")
        assert answer.status_code == 500
        assert answer.json()["detail"] == "this is a defect of flowcore: the log has an admin_failed"
        failed = opened.reported()["failed"]
        assert failed.endswith("ValidationError")
        assert "\n" not in failed
