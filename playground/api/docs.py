"""The documentation page of the API, made from its OpenAPI schema.

FastAPI's own page loads Swagger UI from a CDN; this one asks nothing of any other host.
"""

import json
import re
import secrets
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

_WORDS = {
    "minimum": "at least {:,}",
    "exclusiveMinimum": "above {:,}",
    "maximum": "at most {:,}",
    "exclusiveMaximum": "below {:,}",
    "minLength": "at least {:,} characters",
    "maxLength": "at most {:,} characters",
    "minItems": "at least {:,} items",
    "maxItems": "at most {:,} items",
}


def page(schema: dict[str, Any], address: str) -> HTMLResponse:
    """The page of an OpenAPI schema, for a server reached at ``address``."""
    nonce = secrets.token_urlsafe(12)
    text = _TEMPLATE.render(
        schema=schema,
        address=address,
        nonce=nonce,
        operations=[
            {"path": path, "method": method, **operation}
            for path, methods in schema["paths"].items()
            for method, operation in methods.items()
        ],
        records=schema["components"]["schemas"],
    )
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
    )
    return HTMLResponse(text, headers={"Content-Security-Policy": policy})


def prose(text: str) -> Markup:
    """Paragraphs, with what stands in backticks as code; everything escaped."""
    paragraphs = re.split(r"\n\s*\n", str(escape(text)).strip())
    coded = (re.sub(r"`([^`]+)`", r"<code>\1</code>", paragraph) for paragraph in paragraphs)
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in coded))


def kind(schema: dict[str, Any]) -> Markup:
    """What a value may be, in words; a record as a link to its table."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return Markup('<a href="#{0}">{0}</a>').format(name)
    if "allOf" in schema and len(schema["allOf"]) == 1:
        return kind(schema["allOf"][0])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return Markup(" or ").join(kind(choice) for choice in choices)
    if "const" in schema or "enum" in schema:
        values = schema.get("enum") or [schema["const"]]
        return Markup(", ").join(Markup("<code>{}</code>").format(json.dumps(v)) for v in values)
    if schema.get("type") == "array":
        return Markup("list of {}").format(kind(schema["items"]) if "items" in schema else "any")
    return Markup("{}").format(schema.get("type", "any"))


def bounds(schema: dict[str, Any]) -> str:
    """The limits of a value, in words."""
    return ", ".join(text.format(schema[name]) for name, text in _WORDS.items() if name in schema)


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(prose=prose, kind=kind, bounds=bounds, pretty=pretty)
_TEMPLATE = _ENVIRONMENT.get_template("docs.html")
