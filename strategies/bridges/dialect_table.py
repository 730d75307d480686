"""The README's table of dialects, made from ``DIALECTS``: ``python -m …dialect_table --write``."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from strategies.bridges.dialects import DIALECTS, Dialect, DialectName
from strategies.bridges.sampling_fields import recipe

README = Path(__file__).parents[2] / "README.md"
_PLACE = re.compile(r"(<!-- dialects -->\n).*?(<!-- /dialects -->)", re.DOTALL)
_OWN = {  # steps that a program has itself; what others have follows in its order
    "openai": {"frequency_penalty", "presence_penalty", "temperature", "top_p"},
    "vllm": {
        "repetition_penalty", "frequency_penalty", "presence_penalty", "temperature", "min_p",
        "top_k", "top_p",
    },
    "llama.cpp": {
        "repetition_penalty", "frequency_penalty", "presence_penalty", "dry", "top_n_sigma",
        "top_k", "typical_p", "top_p", "min_p", "xtc", "temperature", "dynamic_temperature",
        "adaptive_p", "mirostat_v2",
    },
}  # fmt: skip


def table() -> str:
    """The table in Markdown: a row for each meaning, a column for each dialect."""
    rows: dict[str, Callable[[DialectName, Dialect], str]] = {
        "read in": lambda name, dialect: dialect.read,
        "with no field sent": lambda name, dialect: f"`{recipe({}, name)}`".replace("|", "\\|"),
        "fields of the model's own `generation_config`": _of_the_model,
        "order of its own steps": _order,
        "an order sent": _sent_order,
        "penalties look at": lambda name, dialect: _window(dialect.window),
        "a window of 0": lambda name, dialect: "none" if dialect.zero_is_off else "everything",
        "`presence_penalty`, `frequency_penalty`": lambda name, dialect: (
            "count the prompt, too" if dialect.prompt_counts else "count what was written"
        ),
        "DRY looks at": lambda name, dialect: _dry_window(dialect),
        "the likeliest token at temperature": _greedy,
        "`epsilon_cutoff`, `eta_cutoff`": lambda name, dialect: {
            1.0: "probabilities",
            1e-4: "ten-thousandths",
        }[dialect.cutoff_unit],
        "mirostat": lambda name, dialect: (
            "alone with the temperature" if dialect.mirostat_alone else "one step of the others"
        ),
    }
    lines = [f"| | {' | '.join(f'`{name}`' for name in DIALECTS)} |", "|---" * 5 + "|"]
    for words, tell in rows.items():
        cells = [tell(name, dialect) for name, dialect in DIALECTS.items()]  # type: ignore[arg-type]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def within(text: str) -> str:
    """``text`` with this table in the place of the one it holds."""
    return _PLACE.sub(lambda found: f"{found[1]}{table()}\n{found[2]}", text)


def _of_the_model(name: DialectName, dialect: Dialect) -> str:
    return ", ".join(f"`{field}`" for field in dialect.of_the_model) or "none"


def _order(name: DialectName, dialect: Dialect) -> str:
    own = _OWN.get(name)
    return ", ".join(step for step in dialect.order if own is None or step in own)


def _sent_order(name: DialectName, dialect: Dialect) -> str:
    if dialect.letters:
        return "`samplers`, names or letters: others are left out"
    others = {"follow": "others follow", "lead": "others lead", "drop": "others are left out"}
    return f"`sampler_priority`: {others[dialect.unlisted]}"


def _window(window: int) -> str:
    return f"the last {window:,} tokens" if window else "everything"


def _dry_window(dialect: Dialect) -> str:
    if dialect.window_for_dry:
        return "what the penalties look at"
    window = dialect.defaults.get("dry", {}).get("window", 0)
    return f"`dry_penalty_last_n`, where it is not sent {_window(window)}"


def _greedy(name: DialectName, dialect: Dialect) -> str:
    if dialect.least_temperature:
        least = f"{dialect.least_temperature:g}"
        return f"below {dialect.greedy_below:.5f}; above, no less than {least}"
    return "0 or less, where `samplers` has it" if dialect.negative_is_greedy else "0"


def main() -> int:
    if "--write" in sys.argv[1:]:
        README.write_text(within(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
