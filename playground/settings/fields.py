"""What a host may choose: each setting with its default, its bounds and its description."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import ByteSize, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from playground.settings.forms import (
    Address,
    Between,
    Cluster,
    Device,
    HostNames,
    Listed,
    Origins,
    Place,
    Rates,
)
from playground.settings.variables import PREFIX, also

BUILT_IN = "SmolLM2-135M-Instruct"
OFFERED = (
    BUILT_IN,
    "HuggingFaceTB/SmolLM2-360M-Instruct",
    "HuggingFaceTB/SmolLM3-3B",
    "Qwen/Qwen3-0.6B",
    "Qwen/Qwen3-1.7B",
    "Qwen/Qwen3.5-0.8B",
    "google/gemma-3-270m-it",
    "google/gemma-3-1b-it",
    "meta-llama/Llama-3.2-1B-Instruct",
    "gpt2",
    "distilgpt2",
)


def _cache_home() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "decoding-playground"


class Fields(BaseSettings):
    """Each field is read from ``PLAYGROUND_`` and its name in capitals; see ``Settings``."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        validate_by_name=True,
        validate_by_alias=True,
        str_strip_whitespace=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        protected_namespaces=(),
    )

    # Models
    model: str = Field(
        BUILT_IN,
        min_length=1,
        description="Model the page opens with: the built-in one, a hub id, a folder, "
        "or a GGUF file.",
    )
    models: Listed = Field(
        OFFERED, description="Models offered to visitors, separated by commas; folders too."
    )
    allow_any_model: bool = Field(
        False,
        description="Let visitors load any hub id, not only the offered ones; owner/name:file.gguf "
        "too.",
    )
    allow_any_folder: bool = Field(
        False, description="Let visitors load any folder or GGUF file of this host, by its path."
    )
    cache_dir: Place = Field(
        default_factory=_cache_home, description="Folder where the built-in model is kept."
    )
    hub: Address = Field(
        "https://huggingface.co",
        validation_alias=also("hub", "HF_ENDPOINT"),
        description="Address of the model hub.",
    )
    hub_cache: Place | None = Field(
        None,
        validation_alias=also("hub_cache", "HF_HUB_CACHE"),
        description="Folder of models from the hub; unset leaves it to the hub's own client.",
    )
    hub_timeout_s: float = Field(
        5.0, gt=0, le=60, description="Seconds to wait for the hub before saying it is unreachable."
    )
    models_bytes: ByteSize | None = Field(
        None,
        gt=0,
        description="Memory for loaded models, such as 8GB; unset takes a share of what is free.",
    )
    device: Device = Field(
        "auto", description="Where models run: auto, cpu, mps, cuda, or one of several: cuda:1."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Number format of the weights: auto, float32, bfloat16 or float16."
    )
    threads: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Processor threads torch may use; unset leaves it to torch.",
    )

    engine_url: Address | None = Field(
        None,
        description="Address of a server that speaks OpenAI's HTTP and tells the likeliest tokens "
        "(vLLM, llama.cpp, another playground), whose models are served in place of those above.",
    )
    engine_key: SecretStr | None = Field(
        None, description="The key that server asks for, if it asks for one."
    )
    cluster: Cluster | None = Field(
        None,
        description="Serve models by replicas over Ray Serve: auto for the cluster that this "
        "machine is part of, an address such as 10.0.0.1:6379, or local:2 for two replicas on this "
        "machine. Needs what deploy/requirements.txt lists.",
    )
    cluster_replicas: Between = Field(
        "1", description="Replicas of each model in a cluster: 2, or 1-4, by the rows wanted."
    )
    cluster_cpus: float = Field(1.0, ge=0, description="CPUs that each replica reserves.")
    cluster_gpus: float = Field(0.0, ge=0, description="GPUs that each replica reserves.")
    cluster_start_s: float = Field(
        120.0, gt=0, description="Seconds to wait for the first replica of a model."
    )
    remember_checks: bool = Field(
        True,
        description="Keep in the cache folder what a model's self-check found, for faster starts.",
    )

    # History
    history: bool | None = Field(
        None,
        description="Keep visitors' runs in a file, each visible to the visitor's own browser and "
        "to whoever has its link. Unset is yes where only this machine is served, else no.",
    )
    history_file: Place | None = Field(
        None, description="The history's file; unset is history.sqlite in the cache folder."
    )
    history_bytes: ByteSize = Field(
        ByteSize(256 << 20),
        gt=0,
        description="Bytes of it; the oldest runs go first. One visitor has a quarter at most.",
    )
    history_days: float = Field(
        90.0, gt=0, le=3650, description="Days after which what was not pinned is deleted."
    )

    # Engine
    max_rows: int = Field(384, ge=2, le=4096, description="Sequences decoded at the same time.")
    max_context: int = Field(
        4096,
        ge=16,
        description="Longest prompt and answer together, in tokens, whatever the model.",
    )
    trace_steps: bool = Field(
        True,
        description="Whether forwards on a CPU are traced with TorchScript, and run by it.",
    )
    draft_model: str | None = Field(
        None,
        min_length=1,
        description="A smaller model of the same vocabulary that guesses for speculative sampling.",
    )
    cache_bytes: ByteSize | None = Field(
        None,
        gt=0,
        description="Memory for keys and values, such as 2GB; unset takes a share of what is free.",
    )
    prompt_bytes: ByteSize = Field(
        ByteSize(256 << 20),
        ge=0,
        description="Memory for prompts and texts that were read, which need not be read again.",
    )
    max_waiting: int = Field(
        200, ge=1, description="Runs in the queue before new ones are refused."
    )
    max_client_runs: int = Field(
        8, ge=1, description="Runs one visitor may have in the queue or at work at once."
    )

    # Limits of one run
    max_new_tokens: int = Field(512, ge=1, description="Most new tokens a run may ask for.")
    max_prompt_chars: int = Field(20_000, ge=1, description="Longest prompt, in characters.")
    max_columns: int = Field(6, ge=1, le=64, description="Most recipes in one run.")
    max_batch: int = Field(
        32, ge=1, le=1024, description="Most prompts in one request for a batch over HTTP."
    )
    max_width: int = Field(
        16, ge=1, description="Most rows one recipe may own; of more samples, some wait for others."
    )
    max_stop_strings: int = Field(8, ge=0, description="Most stop strings in one run.")
    max_stop_chars: int = Field(100, ge=1, description="Longest stop string, in characters.")
    top_n: int = Field(20, ge=1, le=200, description="Candidates recorded per token.")
    deadline_s: float = Field(
        120.0, gt=0, description="Seconds after which a run ends with what it has."
    )
    keep_runs: int = Field(200, ge=1, description="Finished runs kept for the page to look into.")
    keep_bytes: ByteSize = Field(
        ByteSize(128 << 20), ge=0, description="Memory for them; the oldest go first."
    )

    max_experiment_texts: int = Field(
        20_000,
        ge=0,
        le=200_000,
        description="Most texts of one experiment on the page and over HTTP, which are written "
        "behind everybody's runs; 0 offers none.",
    )
    experiment_store: Place | None = Field(
        None,
        description="SQLite file of experiments and votes; unset is experiments.sqlite in the "
        "cache folder.",
    )
    experiment_bytes: ByteSize = Field(
        ByteSize(1 << 30),
        ge=0,
        description="Bytes of it; what was used longest ago goes first, but no experiment that "
        "runs.",
    )
    experiment_days: float = Field(
        90.0,
        gt=0,
        le=3650,
        description="Days after which texts are deleted that no experiment used, and experiments "
        "with their votes that ended and were not voted on.",
    )

    # Server
    host: str | None = Field(
        None,
        validation_alias=also("host", "GRADIO_SERVER_NAME"),
        description="Address to listen on; unset means this machine only, on a Space everyone.",
    )
    port: int | None = Field(
        None,
        ge=1,
        le=65535,
        validation_alias=also("port", "GRADIO_SERVER_PORT"),
        description="Port to listen on; unset takes the first free one from 7860.",
    )
    max_queue: int = Field(
        256, ge=1, description="Visitors who may wait before the page says full."
    )
    rate_limit: Rates | None = Field(
        None,
        description="Requests one address may make over HTTP, such as 60/minute, several with "
        "commas between; what the page runs or loads counts too. Unset is 120/minute on a Space, "
        "else any number, as always from this machine; 0 is any.",
    )
    metrics: bool | None = Field(
        None, description="Serve /metrics to whoever asks; unset is no on a Space, else yes."
    )
    password: SecretStr | None = Field(
        None,
        description="Asked of everybody, by the browser with any name, and of programs as their "
        "key (Authorization: Bearer). Unset lets everybody in.",
    )
    page_rate: Rates = Field(
        "300/minute",
        description="Loads of the page one address may make, written as above; this machine may "
        "make any number. A class behind one address has ten a minute for each of thirty.",
    )
    mcp: bool = Field(
        False,
        description="Offer compare, explain, score and strategies to language models as tools, by "
        "the Model Context Protocol at /gradio_api/mcp/. Needs the package mcp.",
    )
    dialect: Literal["openai", "vllm", "llama.cpp", "textgen"] = Field(
        "openai",
        description="What sampling fields mean over /v1 where a request names no dialect.",
    )
    log_prompts: bool = Field(
        False,
        description="Write visitors' prompts, the texts in their recipes and the messages of "
        "exceptions, which may quote them, into the log, which never has them otherwise.",
    )
    proxies: int | None = Field(
        None,
        ge=0,
        le=10,
        description="Proxies in front, each adding to X-Forwarded-For; unset is 1 on a Space, "
        "else 0.",
    )
    allowed_hosts: HostNames = Field(
        (),
        description="Names this server is reached by, separated by commas, such as "
        "play.example,*.lab.example; addresses and this machine's own name always are. "
        "* is any name, and gives up the protection against rebound ones.",
    )
    cors_origins: Origins = Field(
        (),
        description="Pages of other origins that may use the HTTP API, separated by commas, such "
        "as https://notes.example; * is any. None may use what the page itself calls.",
    )
    frame_ancestors: Origins = Field(
        (),
        description="Other origins that may show the page in a frame, separated by commas, such "
        "as https://course.example; * is any. On a Space the hub always may.",
    )

    # What a Space tells about itself
    system: str = Field("", validation_alias="SYSTEM", description="`spaces` on a Space.")
    zero_gpu: bool = Field(
        False,
        validation_alias="SPACES_ZERO_GPU",
        description="True where a Space lends its accelerator for the length of a call.",
    )
    space_id: str | None = Field(
        None,
        validation_alias="SPACE_ID",
        description="The Space's name, as owner/name, for links to it.",
    )
    space_host: str | None = Field(
        None,
        validation_alias="SPACE_HOST",
        description="The Space's own address, for links from outside its frame.",
    )
