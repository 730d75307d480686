"""Reading a request's body: a bounded number of bytes, and strict JSON.

FastAPI reads a body of any size, answers 400 to some malformed ones, and accepts NaN, lone
surrogates and numbers of any length. Here each of these is refused with 413 or 422.
"""

import json
import re
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from fastapi import HTTPException, Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

MOST_VALUES = 50_000  # in one body; six recipes of the greatest length have fewer
_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def _values(body: bytes, most: int) -> int:
    """An upper bound of the number of values in a JSON text, without parsing it.

    A parsed value takes about a hundred times the bytes of its text.
    """
    count = sum(map(body.count, (b",", b"[", b"{")))
    if count > most:  # some may be inside strings
        count = sum(map(_TEXT.sub(b"", body).count, (b",", b"[", b"{")))
    return count + 1


class JsonRequest(Request):
    """A request whose ``body`` refuses more than ``limit`` bytes with 413."""

    limit: int
    most_values: int

    async def body(self) -> bytes:
        if not hasattr(self, "_body"):
            declared = self.headers.get("content-length", "")
            size = int(declared) if declared.isdecimal() else 0
            chunks = []
            if size <= self.limit:
                size = 0
                async for chunk in self.stream():
                    size += len(chunk)
                    if size > self.limit:
                        break
                    chunks.append(chunk)
            if size > self.limit:
                raise HTTPException(413, f"The body may have at most {self.limit:,} bytes.")
            self._body = b"".join(chunks)
        return self._body

    async def json(self) -> Any:
        body = await self.body()
        if _values(body, self.most_values) > self.most_values:
            raise HTTPException(422, f"The body may hold at most {self.most_values:,} values.")
        try:
            return from_json(body, allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


def bounded(limit: int, values: int = MOST_VALUES) -> type[APIRoute]:
    """The route class whose requests have at most ``limit`` bytes and so many ``values``."""

    class BoundedRoute(APIRoute):
        bytes_allowed: ClassVar[int] = limit

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def bounded_handler(request: Request) -> Response:
                inner = JsonRequest(request.scope, request.receive)
                inner.limit, inner.most_values = self.bytes_allowed, values
                return await handler(inner)

            return bounded_handler

    return BoundedRoute
