"""The responses to failed requests: always ``{"detail": [{"loc", "msg"}, …]}``.

``loc`` is the path of the field at fault, as in FastAPI's own responses; ``msg`` is one plain
sentence. No response carries a stack trace: an unforeseen error is logged under a short id, which
the response names.
"""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from playground.engine import Busy, FieldError
from playground.errors import ModelError
from playground.rate_limits import TooFast
from strategies.notation import RecipeError, quote, shorten

log = logging.getLogger(__name__)

MOST_FAULTS = 50  # in one response

Loc = Sequence[str | int]
Render = Callable[..., JSONResponse]  # as ``problem``

# Sentences for pydantic's error types, worded as the engine's and the recipes' own are.
_RULES = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a text",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:,}",
    "greater_than_equal": "must be at least {ge:,}",
    "less_than": "must be below {lt:,}",
    "less_than_equal": "must be at most {le:,}",
    "string_too_short": "must have at least {min_length:,} character",
    "string_too_long": "may have at most {max_length:,} characters",
    "too_short": "must have at least {min_length:,} entry",
    "too_long": "may have at most {max_length:,} entries",
}

# The rules on the type of a value; several may hold for one, as alternatives.
_KINDS = frozenset(name for name in _RULES if name.endswith("_type") or name == "literal_error")

_DEEP = "What was sent is nested too deeply."


class NoModel(Exception):
    """The requested model cannot be used: 422 where this host does not offer it, else 503."""

    def __init__(self, cause: ModelError, offered: bool) -> None:
        super().__init__(str(cause))
        self.status = 503 if offered else 422


class NoSuch(Exception):
    """Nothing has the id in this ``part`` of the path: 404."""

    def __init__(self, part: str, sentence: str) -> None:
        super().__init__(sentence)
        self.part = part


class Fault(BaseModel):
    model_config = ConfigDict(extra="forbid")

    loc: list[str | int] = Field(
        description="Where the fault is: `body`, then the path to the field in what was sent."
    )
    msg: str = Field(description="What is wrong, in one sentence.")


class Problem(BaseModel):
    """The response to a failed request."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "detail": [
                    {
                        "loc": ["body", "recipes", 1],
                        "msg": "There is no strategy topp; did you mean top_p?",
                    }
                ]
            }
        },
    )

    detail: list[Fault] = Field(description="One entry per fault found.")


def problem(status: int, *faults: Fault, headers: Any = None) -> JSONResponse:
    content = {"detail": [fault.model_dump() for fault in faults]}
    return JSONResponse(content, status_code=status, headers=headers)


def unforeseen(app: FastAPI, error: BaseException, at: Loc = ()) -> Fault:
    """The fault of an unforeseen error, after counting it and logging it with its stack trace."""
    app.state.metrics.fail("server")
    return Fault(loc=list(at), msg=logged(error))


def logged(error: BaseException) -> str:
    """Log an unforeseen error with its stack trace under an id, and return a sentence with it."""
    name = secrets.token_hex(4)
    log.error("unforeseen error %s", name, exc_info=error)
    return f"Something went wrong on the server; its log has it as {name}."


def handle(app: FastAPI, render: Render = problem) -> None:
    """Have ``app`` respond to every error by ``render``, and count it in ``state.metrics``.

    The engine counts its own refusals, since the page's requests have them, too.
    """
    app.state.problem = render
    for kind in EXPECTED:
        app.add_exception_handler(kind, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _unforeseen)


@dataclass(frozen=True)
class Failure:
    """The response to a request that failed as foreseen, and the metric that counts it, if any."""

    status: int
    faults: Sequence[Fault]
    headers: Mapping[str, str] | None = None
    counted: str | None = None

    @property
    def sentence(self) -> str:
        """What is wrong and in which field, for callers that receive a text alone."""
        return " ".join(_named(fault) for fault in self.faults)


EXPECTED = (RequestValidationError, FieldError, NoModel, NoSuch, Busy, RecursionError)


def failure(error: Exception) -> Failure:
    """The failure of one of ``EXPECTED``; any other error is raised again."""
    match error:
        case RequestValidationError():
            return Failure(422, _faults(error.errors(), error.body), counted="invalid")
        case FieldError():
            return Failure(422, [Fault(loc=["body", *_path(error.field)], msg=str(error))])
        case NoModel():
            counted = "invalid" if error.status < 500 else "model"
            faults = [Fault(loc=["body", "model"], msg=str(error))]
            return Failure(error.status, faults, counted=counted)
        case NoSuch():
            return Failure(404, [Fault(loc=["path", error.part], msg=str(error))])
        case Busy():
            limited = "client" if isinstance(error, TooFast) else "run"
            headers = {"Retry-After": str(error.retry_after_s)}
            return Failure(429, [Fault(loc=[limited], msg=error.message)], headers)
        case RecursionError():  # a library recursed through what was sent and met Python's limit
            return Failure(422, [Fault(loc=["body"], msg=_DEEP)], counted="invalid")
    raise error


def _named(fault: Fault) -> str:
    path = ".".join(str(part) for part in fault.loc if part != "body")
    beyond = fault.loc[:1] != ["body"] or not path or fault.msg.startswith(path)
    return fault.msg if beyond else f"{path}: {fault.msg}"


async def _failed(request: Request, error: Exception) -> JSONResponse:
    found = failure(error)
    metrics = request.app.state.metrics
    if found.counted is not None:
        (metrics.fail if found.counted == "model" else metrics.refuse)(found.counted)
    return _problem(request)(found.status, *found.faults, headers=found.headers)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    loc, msg = {
        404: (["path"], "There is nothing at this address; /api/docs lists what there is."),
        405: (["method"], f"{request.method} is not served here; /api/docs lists what is."),
    }.get(error.status_code, (["body"], str(error.detail)))
    return _problem(request)(error.status_code, Fault(loc=loc, msg=msg), headers=error.headers)


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    return _problem(request)(500, unforeseen(request.app, error))


def _problem(request: Request) -> Render:
    render: Render = request.app.state.problem
    return render


def _path(field: str) -> list[str | int]:
    return [int(part) if part.isdecimal() else part for part in field.split(".") if part]


def _faults(entries: Sequence[dict[str, Any]], body: Any) -> list[Fault]:
    """Pydantic's errors as faults; those of the alternative types of one value become one."""
    placed = [(_location(entry, body), entry) for entry in entries[:MOST_FAULTS]]
    faults: list[Fault] = []
    for loc, entry in placed:
        deeper = any(other[: len(loc)] == loc and len(other) > len(loc) for other, _ in placed)
        if entry["type"] not in _KINDS or loc == ["body"]:
            fault = _explained(entry, loc)
        elif deeper:  # the value has another allowed type, and the fault is inside it
            continue
        else:
            same = [other for where, other in placed if where == loc and other["type"] in _KINDS]
            rules = dict.fromkeys(_rule(other).removeprefix("must be ") for other in same)
            fault = Fault(loc=loc, msg=_sentence(loc, f"must be {' or '.join(rules)}", entry))
        if fault not in faults:
            faults.append(fault)
    return faults


def _location(entry: dict[str, Any], body: Any) -> list[str | int]:
    """The path of an error in the body; pydantic's also has the alternative types of a value."""
    loc = list(entry["loc"])
    if loc[:1] != ["body"]:
        return loc
    found, value = loc[:1], body
    for at, part in enumerate(loc[1:], 2):
        missing = at == len(loc) and entry["type"] == "missing"
        inside = isinstance(part, str) and isinstance(value, dict) and (part in value or missing)
        if inside or (isinstance(part, int) and isinstance(value, list)):
            found.append(part)
            value = None if missing else value[part]
    return found


def _explained(entry: dict[str, Any], loc: list[str | int]) -> Fault:
    """A pydantic error as a sentence that names the field and quotes what was given."""
    cause = entry.get("ctx", {}).get("error")
    if isinstance(cause, RecipeError):
        return Fault(loc=loc + _inside(cause, entry["input"]), msg=str(cause))
    if entry["type"] == "json_invalid" and "recursion limit" in str(cause):
        return Fault(loc=["body"], msg=_DEEP)
    if entry["type"] == "json_invalid":
        return Fault(loc=["body"], msg=f"The body is not JSON: {cause}.")
    if entry["type"] == "missing":
        return Fault(loc=loc, msg="This field is required.")
    if entry["type"] == "extra_forbidden":
        return Fault(loc=loc, msg="There is no such field.")
    if loc == ["body"]:
        return Fault(loc=loc, msg="Send a JSON object, with Content-Type: application/json.")
    if entry["type"] not in _RULES:
        return Fault(loc=loc, msg=f"{entry['msg']}.")
    return Fault(loc=loc, msg=_sentence(loc, _rule(entry), entry))


def _rule(entry: dict[str, Any]) -> str:
    return _RULES[entry["type"]].format(**entry.get("ctx", {}))


def _sentence(loc: list[str | int], rule: str, entry: dict[str, Any]) -> str:
    last = max((at for at, part in enumerate(loc) if isinstance(part, str)), default=0)
    name = ".".join(map(str, loc[last:]))
    counted = "{m" in _RULES[entry["type"]]
    given = f"{len(entry['input']):,}" if counted else shorten(quote(entry["input"]))
    return f"{name} {rule}, but {given} was given."


def _inside(error: RecipeError, given: Any) -> list[str | int]:
    """The path to the error inside a recipe that was sent as steps; empty for one sent as text."""
    if not isinstance(given, dict) or error.step is None:
        return []
    if error.field is None or error.field in ("strategy", "params", "enabled"):
        return ["steps", error.step, *([error.field] if error.field else [])]
    return ["steps", error.step, "params", error.field]
