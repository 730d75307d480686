"""The arguments of transformers' ``generate``, and the steps of a recipe they correspond to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Argument:
    """An argument of ``generate`` and the setting of a step that it is.

    At ``neutral`` it does nothing.
    """

    name: str
    strategy: str
    setting: str
    neutral: Any
    sampled: bool = False  # without effect where generate does not sample
    default: Any = None  # where that is another than ``neutral``

    @property
    def assumed(self) -> Any:
        """What ``generate`` takes where it is given nothing."""
        return self.neutral if self.default is None else self.default


# In the order in which generate applies them, whatever order they are given in; from
# ``_get_logits_processor`` of transformers 5.24 (5.23 has the same).
ARGUMENTS = (
    Argument("guidance_scale", "guidance", "scale", 1.0),
    Argument("sequence_bias", "logit_bias", "bias", None),
    Argument("encoder_repetition_penalty", "encoder_repetition", "penalty", 1.0),
    Argument("repetition_penalty", "repetition_penalty", "penalty", 1.0),
    Argument("no_repeat_ngram_size", "no_repeat_ngram", "size", 0),
    Argument("bad_words_ids", "bad_words", "words", None),
    Argument("min_new_tokens", "min_new_tokens", "count", None),
    Argument("exponential_decay_length_penalty", "exponential_length", "", None),
    Argument("temperature", "temperature", "temperature", 1.0, sampled=True),
    Argument("top_h", "top_h", "h", None, sampled=True),
    Argument("top_k", "top_k", "top_k", 0, sampled=True, default=50),
    Argument("top_p", "top_p", "top_p", 1.0, sampled=True),
    Argument("min_p", "min_p", "min_p", None, sampled=True),
    Argument("typical_p", "typical_p", "typical_p", 1.0, sampled=True),
    Argument("epsilon_cutoff", "epsilon_cutoff", "epsilon", 0.0, sampled=True),
    Argument("eta_cutoff", "eta_cutoff", "epsilon", 0.0, sampled=True),
    Argument("watermarking_config", "watermark", "", None),
)
POSITIONS = {argument.strategy: position for position, argument in enumerate(ARGUMENTS)}

# What ``generate`` takes for the search where it is given nothing.
SEARCH: dict[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "length_penalty": 1.0,
    "early_stopping": False,
    "num_return_sequences": 1,
}

# Arguments that no step corresponds to, with the value at which they do nothing.
FOREIGN: dict[str, Any] = {
    "min_length": 0,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "renormalize_logits": None,
    "penalty_alpha": None,
    "dola_layers": None,
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "prompt_lookup_num_tokens": None,
    "max_matching_ngram_size": None,
}

# What left the core of transformers, and the repository it went to; from
# ``GENERATION_MODES_MAPPING`` of transformers 5.24 (5.23 has the same).
MOVED = {
    "dola": "transformers-community/dola",
    "contrastive": "transformers-community/contrastive-search",
    "diverse_beam": "transformers-community/group-beam-search",
}
