"""Clients built on OpenAI's API: llm and LangChain."""

from __future__ import annotations

from langchain_openai import ChatOpenAI

from tests.clients.conftest import MODEL

ASKED = "Name a colour."


def test_llm_prompts_a_model_at_our_address(address, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: ours\n  model_name: {MODEL}\n  api_base: {address}/v1\n"
    )
    import llm

    model = llm.get_model("ours")
    model.key = "none"
    options = {"temperature": 0, "max_tokens": 8}
    whole = model.prompt(ASKED, stream=False, **options).text()
    assert whole and "".join(model.prompt(ASKED, stream=True, **options)) == whole


def test_langchain_invokes_and_streams(address):
    model = ChatOpenAI(
        model=MODEL, base_url=f"{address}/v1", api_key="none", temperature=0, max_tokens=8
    )
    whole = model.invoke(ASKED)
    assert whole.content and whole.usage_metadata["output_tokens"] <= 8
    assert "".join(part.content for part in model.stream(ASKED)) == whole.content
    scored = model.bind(logprobs=True, top_logprobs=2).invoke(ASKED)
    assert scored.response_metadata["logprobs"]["content"][0]["top_logprobs"]
