"""Names that transformers does not promise to keep: each is there, and one file alone uses them.

Nothing here imports the engine, which cannot be imported where one of them is gone.
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import transformers
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

ROOT = Path(__file__).parents[1]
COMPAT = ROOT / "playground/transformers_compat.py"
FILES = [*ROOT.glob("playground/**/*.py"), *ROOT.glob("strategies/**/*.py"), ROOT / "app.py"]

# What no longer works where transformers has dropped a name.
LOST = {
    "transformers.AttentionInterface": "a model cannot be told to attend to rows in their slots",
    "transformers.AttentionMaskInterface": "a mask is made at every step, beside that of the slots",
    "transformers.cache_utils.Cache": "a model's layers cannot write to the slots",
    "transformers.cache_utils.CacheLayerMixin": "a layer of the slots has no form that models know",
    "transformers.integrations.sdpa_attention.sdpa_attention_forward": (
        "a served model's own generate, outside of the slots, has no attention"
    ),
    "transformers.masking_utils.sdpa_mask": (
        "a served model's own generate, outside of the slots, has no mask"
    ),
    "transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES": (
        "the bench does not know which types of models there are"
    ),
    "PreTrainedConfig._attn_implementation": (
        "a model that is refused does not get its own attention back"
    ),
    "PreTrainedConfig._experts_implementation": (
        "a mixture's rows depend on the batch, since its experts are not computed token by token"
    ),
    "transformers.cache_utils.DummyLayer": (
        "a model whose layers read what others keep has no cache that its layers know"
    ),
    "transformers.cache_utils.DynamicCache": "a row that is read by itself has no cache",
    "transformers.cache_utils.DynamicLayer": (
        "a row that forks copies all of its cache, and one that goes back is read again"
    ),
    "transformers.cache_utils.LinearAttentionCacheLayerMixin": (
        "two rows that fork write one recurrent state"
    ),
    "transformers.masking_utils.causal_mask_function": (
        "layers that look at all tokens are given a mask of their own at every step"
    ),
    "transformers.quantizers.auto.AutoHfQuantizer": (
        "nothing says what reads quantised weights, nor whether it is installed"
    ),
    "transformers.quantizers.auto.AUTO_QUANTIZATION_CONFIG_MAPPING": (
        "the tests do not know which forms of quantised weights there are"
    ),
    "GenerationMixin._supports_default_dynamic_cache": (
        "a model that makes a cache of its own is given another"
    ),
}
_CLASSES = [PreTrainedModel, PreTrainedConfig, PreTrainedTokenizerBase, GenerationMixin]


def private_names(file: Path) -> Iterator[str]:
    """A file's private attributes of transformers' classes, and imports from its inner modules."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            package, _, inner = node.module.partition(".")
            if package == "transformers" and inner != "utils":  # its logging is documented there
                yield from (f"{node.module}.{alias.name}" for alias in node.names if inner)
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
        if isinstance(name, str) and name.startswith("_") and not hasattr(torch.nn.Module, name):
            owners = (owner.__name__ for owner in _CLASSES if hasattr(owner, name))
            yield from (f"{owner}.{name}" for owner in owners if not hasattr(object, name))


def own_names(file: Path) -> set[str]:
    """Names that a file itself defines: attributes that it sets, its functions and methods."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    stored = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return defined | stored


@pytest.mark.parametrize("name", LOST)
def test_transformers_still_has_what_is_used(name: str) -> None:
    owner, _, attribute = name.rpartition(".")
    try:
        found = next((each for each in _CLASSES if each.__name__ == owner), None)
        getattr(found or importlib.import_module(owner), attribute)
    except (ImportError, AttributeError):
        pytest.fail(f"transformers {transformers.__version__} has no {name}: {LOST[name]}.")


def test_a_forward_takes_a_cache_by_one_of_two_names() -> None:
    known = inspect.signature(transformers.LlamaForCausalLM.forward).parameters
    assert {"cache", "past_key_values"} & set(known), (
        "A model's forward takes a cache by neither cache nor past_key_values: nothing can be "
        "prefilled or decoded."
    )


def test_the_one_file_says_what_each_name_is_for() -> None:
    imported = {name for name in private_names(COMPAT)}
    public = {"transformers.AttentionInterface", "transformers.AttentionMaskInterface"}
    assert imported | public == set(LOST)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_other_file_uses_such_a_name(file: Path) -> None:
    found = [name for name in private_names(file) if name.rpartition(".")[2] not in own_names(file)]
    assert file == COMPAT or found == [], (
        f"{', '.join(found)}: put this into {COMPAT.relative_to(ROOT)}"
    )


def test_the_rule_sees_what_it_forbids(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text(
        "from transformers.models.llama.modeling_llama import LlamaAttention\n"
        "from transformers import Cache\n"
        "def f(model): return model.config._attn_implementation, getattr(model, '_is_stateful')\n"
    )
    assert set(private_names(file)) == {
        "transformers.models.llama.modeling_llama.LlamaAttention",
        "PreTrainedConfig._attn_implementation",
        "PreTrainedModel._is_stateful",
    }
