"""The README says what the code does: its tables are made from it, its examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import playground.playground
from playground import Playground
from playground.models import LoadedModel, Models
from playground.settings import table
from strategies import Recipe
from strategies.registry import Registry, registry
from strategies.table import within

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _between(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    assert found, f"the README has no place for {name}"
    return found[1].strip()


def test_settings_are_those_of_the_code() -> None:
    assert _between("settings") == table().strip()


def test_strategies_are_those_of_the_two_folders() -> None:
    current = README == within(README, Registry.discover(entry_points=()))
    assert current, "run: python -m strategies.table --write"


def test_the_table_is_put_in_the_place_of_the_old_one() -> None:
    text = "before\n<!-- strategies -->\nold\n<!-- /strategies -->\nafter\n"
    found = Registry({"top_k": registry().get("top_k")}, ())
    before, header, _, row, after = within(text, found).split("\n", 4)[:5]
    assert within(within(text, found), found) == within(text, found)
    assert (before, header) == ("before", "<!-- strategies -->") and row.startswith("|---|")
    assert after.startswith("| `top_k` | ") and after.endswith("\n<!-- /strategies -->\nafter\n")
    with pytest.raises(ValueError, match="has no <!-- strategies -->"):
        within("a README", found)


def test_what_was_measured_is_still_there() -> None:
    written = re.findall(r"^\| `(.+?)` \|", _between("strategies-bench"), re.MULTILINE)
    measured = [Recipe.parse(text.replace("\\|", "|")).steps[0] for text in written]
    assert len(measured) > 30
    assert not any(step.neutral for step in measured)


def test_the_python_example_runs(builtin: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    class Loaded(Models):
        def load(self, id: str | None = None) -> LoadedModel:
            return builtin

    monkeypatch.setattr(playground.playground, "Models", Loaded)
    names: dict[str, object] = {}
    for example in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(example, names)
    comparison = names["comparison"]
    assert [lane.recipe for lane in comparison.lanes] == [  # type: ignore[attr-defined]
        "greedy",
        "temperature(0.8) | top_p(0.95) | sample",
        'beam(early_stopping="never")',
    ]
    assert "Paris" in comparison.lanes[0].text  # type: ignore[attr-defined]
    assert isinstance(names["playground"], Playground)
    assert names["forked"].prefix[:-1] == comparison.lanes[1].token_ids[:3]  # type: ignore[attr-defined]
    assert names["score"].recipes[0].possible is False  # type: ignore[attr-defined]


def test_pictures_and_links_are_here() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_front_matter_is_what_a_space_reads() -> None:
    head = README.split("---")[1]
    fields = dict(re.findall(r"^(\w+): (.+)$", head, re.MULTILINE))
    assert fields["sdk"] == "gradio" and fields["app_file"] == "app.py"
    assert (ROOT / fields["app_file"]).exists()
    assert len(fields["short_description"]) <= 60
    # The picture of its links is named by an address: that of a file in the Space.
    picture = fields["thumbnail"].partition("/resolve/main/")[2]
    assert (ROOT / picture).stat().st_size < 200_000
    import gradio

    assert gradio.__version__.split(".")[0] == fields["sdk_version"].split(".")[0]
