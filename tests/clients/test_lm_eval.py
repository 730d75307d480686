"""lm-evaluation-harness measures the same here as with the model itself."""

from __future__ import annotations

import json

import pytest

from tests.clients.conftest import MODEL

CASES = [
    ("The capital of France is", " Paris"),
    ("The capital of France is", " a banana, of course"),
    ("Two plus two is", " four"),
    ("Once upon a time", " there was a king who had three daughters."),
]
TASK = """
task: two_choices
dataset_path: json
dataset_kwargs:
  data_files: {{test: {file}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""


@pytest.fixture(scope="module")
def folder(service):
    """Where the model's tokenizer is."""
    return service.tokenizer().name_or_path


@pytest.fixture(scope="module")
def ours(address, folder):
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    return LocalCompletionsAPI(
        base_url=f"{address}/v1/completions",
        model=MODEL,
        tokenizer=folder,
        tokenizer_backend="huggingface",
        batch_size=2,
    )


@pytest.fixture(scope="module")
def own(service):
    from lm_eval.models.huggingface import HFLM

    model = service.engine().model
    return HFLM(pretrained=model.model, tokenizer=model.tokenizer, batch_size=1, device="cpu")


def asked(cases=CASES):
    from lm_eval.api.instance import Instance

    return [
        Instance(request_type="loglikelihood", doc={}, arguments=case, idx=number)
        for number, case in enumerate(cases)
    ]


def test_likelihoods_are_those_of_the_model_itself(ours, own):
    here, there = ours.loglikelihood(asked()), own.loglikelihood(asked())
    for (logprob, greedy), (own_logprob, own_greedy) in zip(here, there, strict=True):
        assert logprob == pytest.approx(own_logprob, abs=1e-3)
        assert greedy == own_greedy
    assert here[0][1] and not here[1][1]  # " Paris" is what it would write


def test_a_task_has_the_same_result(ours, own, tmp_path):
    import lm_eval
    from lm_eval.tasks import TaskManager

    questions = [
        {"question": "The capital of France is", "choices": [" Paris", " Rome"], "answer": 0},
        {"question": "Two plus two is", "choices": [" four", " green"], "answer": 0},
        {"question": "Grass is usually", "choices": [" seven", " green"], "answer": 1},
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, questions)))
    (tmp_path / "two_choices.yaml").write_text(TASK.format(file=file))
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    found = [
        lm_eval.simple_evaluate(model=model, tasks=["two_choices"], task_manager=manager)
        for model in (ours, own)
    ]
    here, there = (result["results"]["two_choices"] for result in found)
    assert here["acc,none"] == there["acc,none"] == 1.0


def test_texts_are_written_until_a_stop(ours, own):
    from lm_eval.api.instance import Instance

    case = ("The capital of France is", {"until": ["."], "max_gen_toks": 12, "temperature": 0})
    requests = [Instance(request_type="generate_until", doc={}, arguments=case, idx=0)]
    assert ours.generate_until(requests) == own.generate_until(requests)
