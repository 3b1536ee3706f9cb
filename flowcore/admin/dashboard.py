"""The dashboard: its files, and signing in with a token once for a session of hours.

The files hold no data of calls, so anyone who reaches the port may have them; the operations of the API need a session.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.security import HTTPAuthorizationCredentials
from pydantic import BaseModel, Field

from flowcore.admin.access import SCOPES, Access, Scope
from flowcore.admin.problems import ApiError
from flowcore.admin.sessions import LIFETIME, Sessions

TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"  # no text can become markup
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",  # after signing out, no page comes back from the memory of the browser
}
NO_STORE: Final = {"Cache-Control": "no-store"}
MAX_TOKEN: Final = 1000
"""Characters of a token at most."""


class SignIn(BaseModel):
    """The token with which somebody signs in."""

    token: str = Field(max_length=MAX_TOKEN)


class Session(BaseModel):
    """What the session of a request may do."""

    signed_in: bool = Field(description="Whether the request has a session, or needs none.")
    needs_token: bool = Field(description="Whether this run has tokens to sign in with.")
    scopes: list[Scope] = Field(description="`read`, `listen`, `control`.")


router = APIRouter(include_in_schema=False)
data = APIRouter(include_in_schema=False)


def _read_files() -> dict[str, tuple[bytes, str]]:
    folder = files("flowcore.admin") / "pages"
    found = [file for file in folder.iterdir() if file.name.rpartition(".")[2] in TYPES]
    return {file.name: (file.read_bytes(), TYPES[file.name.rpartition(".")[2]]) for file in found}


FILES: Final = _read_files()


@router.get("/")
async def to_the_dashboard() -> Response:
    """Lead to the dashboard, also behind a proxy that serves this port under a path of its own."""
    return RedirectResponse("dashboard/", HTTPStatus.TEMPORARY_REDIRECT)


@router.get("/dashboard")
async def to_its_folder() -> Response:
    """Lead to the dashboard, whose addresses are relative to a folder."""
    return RedirectResponse("dashboard/", HTTPStatus.TEMPORARY_REDIRECT)


@router.get("/dashboard/session")
async def session(request: Request, response: Response) -> Session:
    """Tell what this browser may do; an answer for everybody, so that asking is no attempt without a token."""
    access: Access = request.app.state.access
    response.headers.update(NO_STORE)
    name = access.session_of(request)
    signed_in = name is not None
    return Session(signed_in=signed_in, needs_token=access.has_tokens, scopes=list(SCOPES[name or ""] * signed_in))


@router.post("/dashboard/session")
async def sign_in(request: Request, given: SignIn, response: Response) -> Session:
    """Begin a session with a token, which this browser need not keep."""
    access: Access = request.app.state.access
    sessions: Sessions = access.sessions
    name = access.check_token(request, HTTPAuthorizationCredentials(scheme="Bearer", credentials=given.token)).token
    response.headers.update(NO_STORE)
    if access.has_tokens:
        response.set_cookie(
            sessions.cookie,
            sessions.begin(name, time.time()),
            max_age=LIFETIME,
            path="/",
            secure=access.is_encrypted(request),
            httponly=True,
            samesite="strict",
        )
    return Session(signed_in=True, needs_token=access.has_tokens, scopes=list(SCOPES[name]))


@router.delete("/dashboard/session")
async def sign_out(request: Request, response: Response) -> Session:
    """End the session of this browser."""
    access: Access = request.app.state.access
    sessions: Sessions = access.sessions
    if access.session_of(request):
        sessions.end(request.cookies[sessions.cookie])
    response.headers.update(NO_STORE)
    response.delete_cookie(sessions.cookie, path="/", httponly=True, samesite="strict")
    return Session(signed_in=False, needs_token=access.has_tokens, scopes=[])


@data.get("/dashboard/drawing")
async def drawing(request: Request, response: Response) -> dict[str, Any]:
    """Return the shapes of the graph's picture, to which the page adds numbers."""
    response.headers.update(NO_STORE)
    described: dict[str, Any] = request.app.state.graph["drawing"]
    return described


@router.get("/dashboard/{name:path}")
async def file(name: str) -> Response:
    """Return a file of the dashboard; a page has no suffix in its address."""
    found = FILES.get(name or "calls.html") or FILES.get(f"{name}.html")
    if found is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "the dashboard has no such page: open /dashboard/")
    content, kind = found
    return Response(content, headers=HEADERS, media_type=f"{kind}; charset=utf-8")
