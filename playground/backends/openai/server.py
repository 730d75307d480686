"""A client of an OpenAI-compatible server: its models, their probed abilities, its streams."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import httpx

from playground.backends.openai.fields import PROGRAMS, Program
from playground.backends.openai.step_records import Token, tokens
from playground.errors import ModelError

_MOST = (20, 10, 5, 2, 1)  # likeliest tokens of a position that are requested, the most first
CONNECT_S, ANSWER_S = 5.0, 60.0


@dataclass(frozen=True)
class Served:
    """A model of such a server, and what its responses were found to contain."""

    id: str
    program: Program
    likeliest: int  # tokens that it returns for each position
    context_length: int | None
    vocab_size: int | None
    tokenizes: bool  # whether it returns a prompt's tokens
    scores: bool  # whether it returns their log-probabilities


class Server:
    """One address. Any thread may call it."""

    def __init__(self, url: str, key: str | None = None) -> None:
        self._turn = threading.Lock()  # held by a request that another one would end
        self.url = url.rstrip("/").removesuffix("/v1")
        self.host = httpx.URL(self.url).netloc.decode()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        limits = httpx.Limits(max_connections=None)
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout, limits=limits)

    def turn_of(self, program: Program) -> AbstractContextManager[Any]:
        """A lock to hold during a request, where each request would end the one before it."""
        return self._turn if program.one_by_one else nullcontext()

    @property
    def has_turn(self) -> bool:
        """Whether a request holds that lock."""
        return self._turn.locked()

    def models(self) -> list[dict[str, Any]]:
        """The cards of its models. Raises ``ModelError`` where it cannot be reached or has none."""
        cards = self._json("GET", "/v1/models").get("data")
        known = [card for card in cards or [] if isinstance(card, dict) and card.get("id")]
        if not known:
            raise ModelError(f"The server at {self.host} offers no model.")
        return known

    def served(self, card: dict[str, Any]) -> Served:
        """A model with its abilities, found by small requests. Raises ``ModelError`` where they do
        not suffice.
        """
        id = str(card["id"])
        program = PROGRAMS.get(str(card.get("owned_by") or ""), PROGRAMS[""])
        likeliest = 0
        for count in _MOST:
            body = {"model": id, "prompt": "The", "max_tokens": 1, "logprobs": count}
            choice = ((self._try("/v1/completions", body) or {}).get("choices") or [{}])[0]
            if (choice.get("logprobs") or {}) and any(one.likeliest for one in tokens(choice)):
                likeliest = count
                break
        if not likeliest:
            raise ModelError(
                f"{id} at {self.host} tells no likeliest tokens (top_logprobs of /v1/completions), "
                "of which the page is made."
            )
        meta = card.get("meta") if isinstance(card.get("meta"), dict) else {}
        info = self._try("/tokenizer_info", None) or {}
        length = (
            card.get("max_model_len")
            or (meta or {}).get("n_ctx")
            or (meta or {}).get("n_ctx_train")
        )
        echoed = self._prompt_choice(id, "The end", 1)
        return Served(
            id,
            program,
            likeliest,
            int(length) if length else None,
            (meta or {}).get("n_vocab") or info.get("vocab_size"),
            self.pieces(id, "The end") is not None,
            echoed is not None,
        )

    def pieces(self, model: str, text: str) -> list[str] | None:
        """The texts of a prompt's tokens; None where the server does not return them."""
        for body in (
            {"model": model, "content": text, "with_pieces": True, "add_special": True},
            {"model": model, "prompt": text, "return_token_strs": True},
        ):
            found = self._try("/tokenize", body) or {}
            listed = found.get("tokens")
            if listed and isinstance(listed[0], dict):
                return [str(one["piece"]) for one in listed]
            if found.get("token_strs"):
                return [str(piece) for piece in found["token_strs"]]
        return None

    def scored(self, model: str, prompt: str, count: int) -> list[Token]:
        """The tokens of a prompt with their log-probabilities, the first one's being 0."""
        choice = self._prompt_choice(model, prompt, max(1, count))
        if choice is None:
            raise ModelError(f"{model} at {self.host} could not score the prompt.")
        return tokens(choice)

    def _prompt_choice(self, model: str, prompt: str, count: int) -> dict[str, Any] | None:
        """A choice that echoes a prompt without new tokens; None without log-probabilities."""
        body = {
            "model": model, "prompt": prompt, "max_tokens": 0, "echo": True, "logprobs": count,
        }  # fmt: skip
        choices = (self._try("/v1/completions", body) or {}).get("choices") or [{}]
        logprobs = choices[0].get("logprobs") or {}
        return choices[0] if logprobs.get("tokens") and choices[0].get("text") == prompt else None

    def stream(
        self, path: str, body: dict[str, Any], opened: Callable[[httpx.Response], None]
    ) -> Iterator[dict[str, Any]]:
        """The chunks of a response. ``opened`` is called with it; its ``close`` ends the stream."""
        with self.http.stream("POST", path, json={**body, "stream": True}) as response:
            opened(response)
            if response.status_code >= 400:
                response.read()
                raise ValueError(_error(response))
            for line in response.iter_lines():
                data = line.removeprefix("data:").strip()
                if not line.startswith("data:") or data == "[DONE]":
                    continue
                chunk = json.loads(data)
                if "error" in chunk:
                    raise ValueError(str((chunk["error"] or {}).get("message") or chunk["error"]))
                yield chunk

    def alive(self) -> str:
        """Empty where the server responds, else why it is not reached."""
        try:
            self._json("GET", "/v1/models")
        except ModelError as error:
            return str(error)
        return ""

    def close(self) -> None:
        self.http.close()

    def _try(self, path: str, body: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            return self._json("GET" if body is None else "POST", path, body)
        except ModelError:
            return None

    def _json(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = self.http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise ModelError(
                f"The server at {self.host} cannot be reached: {error or type(error).__name__}."
            ) from error
        try:
            found = response.json()
        except ValueError:
            found = None
        if response.status_code >= 400 or not isinstance(found, dict):
            raise ModelError(f"The server at {self.host} answered {_error(response)}.")
        return found


def _error(response: httpx.Response) -> str:
    """The error of a response: its status, with its message if it has one."""
    try:
        found = response.json()
        error = found.get("error") or found.get("detail") or ""
        message = error.get("message") if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        message = ""
    if not message:
        return str(response.status_code)
    return f"{response.status_code}: {str(message)[:300]}"
