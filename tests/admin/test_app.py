"""The application in memory: its document, its errors, and the graph that it shows."""

import asyncio
import hashlib

import httpx
import pytest

from flowcore.admin.app import make_app
from flowcore.admin.call_history import CallHistory
from flowcore.admin.command_runner import CommandRunner
from flowcore.admin.description import describe
from flowcore.admin.engine_client import EngineClient
from flowcore.admin.event_feed import EventFeed
from flowcore.admin.settings import AdminSettings
from flowcore.graph.load import load
from flowcore.graph.negotiate import compile_graph
from tests.support.live import ROOT

RECORD = ROOT / "graphs" / "record.yaml"
SECRET = "t0ken-MARKER-4711-of-32-characters"
OPEN = ("/healthz", "/readyz")
"""Operations without a token."""
PROTECTED = (
    "/metrics",
    "/v1/access",
    "/v1/audio",
    "/v1/capacity",
    "/v1/calls",
    "/v1/calls/{call}",
    "/v1/calls/{call}/tap",
    "/v1/ended",
    "/v1/ended/{flow}",
    "/v1/ended/{flow}/words",
    "/v1/events",
    "/v1/graph",
    "/v1/graph/picture",
    "/v1/live",
    "/v1/live/{call}",
    "/v1/version",
)
COMMANDS = (
    "/v1/calls/{call}/end",
    "/v1/calls/{call}/listen",
    "/v1/calls/{call}/pause",
    "/v1/calls/{call}/resume",
    "/v1/calls/{call}/mute",
    "/v1/calls/{call}/unmute",
    "/v1/calls/{call}/set",
    "/v1/drain",
    "/v1/reload",
    "/v1/set",
)
"""Operations that change something."""


@pytest.fixture
def get(tmp_path):
    """Send a request to the API of a run that does not answer."""

    def answer(path, token=SECRET, method="GET"):
        async def main():
            graph = load(RECORD)
            app = make_app(
                AdminSettings("127.0.0.1", 0),
                {"admin": SECRET},
                EngineClient(tmp_path / "gone"),
                CommandRunner(tmp_path / "gone", lambda fields: None),
                EventFeed(lambda: None),
                CallHistory(""),
                describe(compile_graph(graph)),
                lambda reason, address: None,
            )
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
                return await client.request(method, path)

        return asyncio.run(main())

    return answer


def test_the_document_names_every_operation_with_its_errors(get):
    document = get("/openapi.json", token="").json()
    operations = {path: operation for path, of_path in document["paths"].items() for operation in of_path.values()}
    assert set(operations) == {*OPEN, *PROTECTED, *COMMANDS}
    assert {path for path, of_path in document["paths"].items() if set(of_path) == {"post"}} == set(COMMANDS)
    for path, operation in operations.items():
        assert operation["summary"], path
        protected = {"401", "403", "422", "503"} <= set(operation["responses"])
        assert protected == ("security" in operation) == (path not in OPEN), path
    assert document["components"]["schemas"]["ProblemDetails"]["example"]["status"] == 404


@pytest.mark.fault(81)
@pytest.mark.parametrize(
    ("path", "method"), [(path, "POST" if path in COMMANDS else "GET") for path in PROTECTED + COMMANDS]
)
def test_every_operation_needs_the_token(get, path, method):
    for token in ("", "wr0ng-MARKER-0815"):
        answer = get(path.replace("{call}", "newest").replace("{flow}", "f"), token=token, method=method)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", "Unauthorized", 401)


@pytest.mark.parametrize("path", OPEN)
def test_a_run_that_does_not_answer_is_neither_alive_nor_ready(get, path):
    answer = get(path, token="")
    assert (answer.status_code, answer.text) == (503, "no_answer\n")


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/metrics", "GET"),
        ("/v1/calls", "GET"),
        ("/v1/calls/newest", "GET"),
        ("/v1/calls/newest/tap", "GET"),
        ("/v1/calls/newest/end", "POST"),
        ("/v1/drain", "POST"),
        ("/v1/reload", "POST"),
    ],
)
def test_what_a_run_does_not_answer_is_503(get, path, method):
    answer = get(path, method=method)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "no answer at" in answer.json()["detail"]


def test_a_parameter_that_is_given_twice_is_refused(get):
    answer = get("/v1/ended?limit=1&lost_ms=5&limit=2")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "limit is there 2 times: give it once"


def test_an_unknown_path_is_404_and_points_to_the_document(get):
    answer = get("/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "GET /v1/nothing: GET /openapi.json lists all operations"


def test_a_wrong_parameter_is_422_and_named(get):
    answer = get("/v1/calls/newest/tap?format=mp3")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "format: Input should be 'lines' or 'wav'"


def test_versions_graph_and_picture_are_those_of_the_run(get):
    version, graph = get("/v1/version").json(), get("/v1/graph").json()
    assert version["graph_sha256"] == hashlib.sha256(RECORD.read_bytes()).hexdigest()
    assert graph["text"] == RECORD.read_text()
    assert graph["plan"]["chains"][0]["nodes"][0]["name"] == "call"
    picture = get("/v1/graph/picture")
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.text.startswith("<svg")
