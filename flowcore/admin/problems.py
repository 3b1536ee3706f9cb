"""Errors of the admin API, as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from flowcore.control import WrongSettings
from flowcore.control.errors import NoAnswer, NoSuchCall, NoSuchParty, SeveralCalls, without_answer
from flowcore.errors import UsageError

MEDIA_TYPE: Final = "application/problem+json"
UNAUTHORIZED: Final = "the header  Authorization: Bearer TOKEN  is missing, or its token is wrong"


class ProblemDetails(BaseModel):
    """An error of a request, with what would help."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "there is no live call 'x': GET /v1/calls lists them",
            }
        }
    )

    type: str = Field(description="Always `about:blank`: the status says what kind of error it is.")
    title: str = Field(description="The phrase of the status.")
    status: int = Field(description="The status of the response.")
    detail: str = Field(description="One line for people.")
    problems: list[str] | None = Field(default=None, description="All problems of a graph, as `flowcore check` shows.")


class ApiError(HTTPException):
    """A request cannot be answered; ``detail`` says in one line what would help. ``problems`` are those of a graph."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        headers: dict[str, str] | None = None,
        problems: Sequence[str] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.problems = problems


def api_error(error: UsageError, call: str = "") -> ApiError:
    """Return the error for one of the control hub; ``call`` is the client's name for a call."""
    match error:
        case SeveralCalls(flows=flows):
            detail = f"{len(flows)} live calls match {call!r}: give the flow of one: {', '.join(flows)}"
            return ApiError(HTTPStatus.CONFLICT, detail)
        case NoSuchCall(missing=missing):
            detail = f"there is no live call {call!r}: GET /v1/calls lists them{without_answer(missing)}"
            return _try_again(detail) if missing else ApiError(HTTPStatus.NOT_FOUND, detail)
        case WrongSettings(problems=problems):
            detail = problems[0].partition("\n")[0]
            return ApiError(HTTPStatus.CONFLICT, detail, problems=problems)
        case NoSuchParty():
            return ApiError(HTTPStatus.NOT_FOUND, str(error))
        case NoAnswer():
            return _try_again(str(error))
    return ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))


def _try_again(detail: str) -> ApiError:
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "1"})


OF_ALL_OPERATIONS: Final = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
"""Statuses that every operation with a token may answer."""


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Describe error responses for the OpenAPI document."""
    content = {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}}
    return {status.value: {"description": status.phrase, "content": content} for status in statuses}


def documented(document: dict[str, Any]) -> dict[str, Any]:
    """Add the schema of problems to an OpenAPI document."""
    document["components"]["schemas"][ProblemDetails.__name__] = ProblemDetails.model_json_schema()
    return document


def problem(
    status: int, detail: str, headers: dict[str, str] | None = None, problems: Sequence[str] | None = None
) -> JSONResponse:
    """Return the response of an error."""
    title = HTTPStatus(status).phrase
    shown = None if problems is None else list(problems)
    body = ProblemDetails(type="about:blank", title=title, status=status, detail=detail, problems=shown)
    return JSONResponse(body.model_dump(exclude_none=True), status, headers, media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Answer all errors of ``app`` as problems."""

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
        detail = error.detail
        if not isinstance(error, ApiError):  # the router's own: no such path, or another method
            detail = f"{request.method} {request.url.path}: GET /openapi.json lists all operations"
        problems = error.problems if isinstance(error, ApiError) else None
        return problem(error.status_code, detail, dict(error.headers or {}), problems)

    @app.exception_handler(RequestValidationError)
    async def on_wrong_parameter(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(Exception)
    async def on_defect(request: Request, error: Exception) -> JSONResponse:
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "this is a defect of flowcore: the log has an admin_failed")
