"""The responses to failed requests in OpenAI's format, an object ``error``.

Statuses are those that OpenAI's clients distinguish: 400 for a fault in the body, 404 for a model
that is not offered.
"""

from __future__ import annotations

from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from playground.api.errors import Fault

_TYPES = {400: "invalid_request_error", 404: "not_found_error", 429: "rate_limit_error"}
_CODES = {404: "not_found", 413: "body_too_long", 429: "rate_limit_exceeded"}


class Failure(BaseModel):
    message: str = Field(description="What is wrong, in one sentence.")
    type: str
    param: str | None = Field(None, description="The field at fault.")
    code: str | None = None


class Failed(BaseModel):
    """The response to a failed request."""

    error: Failure


def failed(status: int, *faults: Fault) -> Failed:
    """The first of ``faults``; the others' sentences follow its own."""
    path = [str(part) for part in faults[0].loc if part != "body"]
    model = status == 404 and path[:1] == ["model"]
    return Failed(
        error=Failure(
            message=" ".join(fault.msg for fault in faults),
            type=_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
            param=".".join(path) if faults[0].loc[:1] == ["body"] and path else None,
            code="model_not_found" if model else _CODES.get(status),
        )
    )


def problem(status: int, *faults: Fault, headers: Any = None) -> JSONResponse:
    """As ``playground.api.errors.problem``, in this format."""
    status = 400 if status == 422 else status
    return JSONResponse(failed(status, *faults).model_dump(), status, headers=headers)
