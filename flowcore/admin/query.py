"""Query parameters that the OpenAPI document does not have; the framework would ignore them."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus

from fastapi import Request

from flowcore.admin.problems import ApiError
from flowcore.diagnostics import listed, printable


async def documented_parameters(request: Request) -> None:
    """Dependency: refuse a parameter that is misspelt or given twice; a default, or the last one, would be taken."""
    operation = request.app.openapi()["paths"][request.scope["route"].path][request.method.lower()]
    known = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "query"]
    for name, count in Counter(name for name, _ in request.query_params.multi_items()).items():
        if name not in known:
            help = f"its parameters are {listed(known)}" if known else "it has none"
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{printable(name)} is no parameter: {help}")
        if count > 1:
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name} is there {count} times: give it once")
