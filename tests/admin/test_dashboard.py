"""The dashboard's files, and signing in and out."""

import re

import httpx
import pytest

from flowcore.admin.dashboard import FILES
from tests.support.admin_api import SECRET, api
from tests.support.asking import call
from tests.support.live import PATIENCE

pytestmark = pytest.mark.slow

READ = "r3ad-MARKER-4711-of-32-characters"
TOKENS = {"admin": SECRET, "read": READ}
SESSION = "/dashboard/session"


@pytest.fixture
def browser(served):
    """A client that keeps cookies, and has no token."""
    with httpx.Client(base_url=served.url, timeout=PATIENCE, trust_env=False) as client:
        yield client


def sign_in(browser, token=SECRET):
    return browser.post(SESSION, json={"token": token})


def test_the_port_leads_to_the_dashboard(browser):
    assert browser.get("/", follow_redirects=True).url.path == "/dashboard/"
    assert browser.get("/dashboard", follow_redirects=True).url.path == "/dashboard/"


@pytest.mark.parametrize("name", ["", "ended", "graph", "call", "sign-in", "dashboard.css", "api.js"])
def test_files_need_no_session_and_allow_nothing_from_elsewhere(browser, name):
    answer = browser.get(f"/dashboard/{name}")
    assert answer.status_code == 200
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


def test_no_file_has_script_or_style_in_its_markup_or_names_another_site():
    assert len(FILES) > 15
    for name, (content, _) in FILES.items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, name
        assert "innerHTML" not in text, name
        if name.endswith(".html"):
            assert not re.search(r"<style|<script(?! type=\"module\" src=)|\sstyle=|\son[a-z]+=", text), name


def test_there_is_no_other_file(browser):
    for name in ("nope", "../app.py", "%2e%2e/app.py", "calls.html/x"):
        assert browser.get(f"/dashboard/{name}").status_code == 404


def test_signing_in_gives_a_cookie_that_scripts_cannot_read_and_that_lasts_hours(browser):
    assert browser.get(SESSION).json() == {"signed_in": False, "needs_token": True, "scopes": []}
    answer = sign_in(browser)
    assert answer.json() == {"signed_in": True, "needs_token": True, "scopes": ["read", "listen", "control"]}
    assert answer.headers["cache-control"] == "no-store"
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(r"flowcore_\w+=\S+; HttpOnly; Max-Age=28800; Path=/; SameSite=strict", cookie)
    assert SECRET not in cookie
    assert browser.get(SESSION).json()["signed_in"]
    assert browser.get("/v1/graph").status_code == 200


def test_a_cookie_is_for_encrypted_connections_only_where_the_browser_has_one(browser, served):
    through_proxy = browser.post(SESSION, json={"token": SECRET}, headers={"X-Forwarded-For": "192.0.2.1"})
    assert "; Secure" in through_proxy.headers["set-cookie"]


@pytest.mark.fault(81)
def test_a_wrong_token_gives_no_session_and_is_reported(browser, served):
    for token in ("wr0ng-MARKER-0815", "", "x" * 1000, "\u00e9"):
        answer = sign_in(browser, token)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert served.reported() == {"rejected": ["wrong_token", "127.0.0.1", 1]}
    assert sign_in(browser, "x" * 1001).status_code == 422
    assert browser.get("/v1/graph").status_code == 401


def test_after_signing_out_the_cookie_opens_nothing(browser):
    sign_in(browser)
    kept = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    assert browser.delete(SESSION).json()["signed_in"] is False
    assert not browser.cookies
    assert browser.get("/v1/graph").status_code == 401
    assert browser.get("/v1/graph", headers={"Cookie": kept}).status_code == 401


def test_the_session_of_a_token_that_reads_only_reads(live, control):
    call(live, "one")
    with api(control, READ, tokens=TOKENS) as served, httpx.Client(base_url=served.url, trust_env=False) as browser:
        assert sign_in(browser, READ).json()["scopes"] == ["read"]
        assert browser.get("/v1/calls/one").status_code == 200
        assert browser.post("/v1/calls/one/end").status_code == 403
        assert browser.get("/v1/calls/one/tap").status_code == 403


@pytest.mark.fault(94)
@pytest.mark.parametrize("site", ["cross-site", "same-site"])  # another port of this machine is the same site
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/calls"), ("POST", "/v1/calls/one/end"), ("DELETE", SESSION)])
def test_a_page_of_another_origin_cannot_use_a_session(live, browser, served, method, path, site):
    call(live, "one")
    sign_in(browser)
    answer = browser.request(method, path, headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert served.reported()["rejected"][0] == "foreign_page"
    assert len(live.engine.flows) == 1
    assert browser.get("/v1/calls", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_without_tokens_the_dashboard_is_open_on_this_machine_and_only_reads(control):
    with api(control) as served:
        assert served.get(SESSION).json() == {"signed_in": True, "needs_token": False, "scopes": ["read"]}
        assert served.get(SESSION, headers={"Host": "attacker.example"}).status_code == 403
        assert served.get("/dashboard/", headers={"Host": "attacker.example"}).status_code == 403


def test_the_shapes_of_the_picture_have_room_for_numbers(browser):
    assert browser.get("/dashboard/drawing").status_code == 401
    sign_in(browser)
    drawing = browser.get("/dashboard/drawing").json()
    names = {shape["name"] for shape in drawing["shapes"] if shape.get("kind") == "queue" and "name" in shape}
    assert names == {"wav"}
    assert {"call", "ordered", "voices"} <= {s["name"] for s in drawing["shapes"] if s.get("kind") == "label"}
