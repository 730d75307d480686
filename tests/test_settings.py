"""Settings: one class reads the environment, and its errors name the variable at fault."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from playground import Playground, settings
from playground.settings import BUILT_IN, Settings, SettingsError, table, variables


def test_without_an_environment_only_this_machine_is_served():
    chosen = Settings.read()
    assert (chosen.listen, chosen.port, chosen.on_space) == ("127.0.0.1", None, False)
    assert chosen.model == BUILT_IN == chosen.models[0]
    assert {"gpt2", "distilgpt2"} < set(chosen.models)


@pytest.mark.parametrize(
    "name, value", [("SYSTEM", "spaces"), ("SPACES_ZERO_GPU", "true"), ("SPACE_ID", "owner/name")]
)
def test_on_a_space_everyone_is_served(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert Settings.read().listen == "0.0.0.0"


def test_the_host_may_name_the_address_on_a_space_too(monkeypatch):
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "10.1.2.3")
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8123")
    assert (Settings.read().listen, Settings.read().port) == ("10.1.2.3", 8123)


def test_the_playground_own_variable_wins_over_a_borrowed_one(monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8123")
    monkeypatch.setenv("PLAYGROUND_PORT", "9000")
    assert Settings.read().port == 9000


@pytest.mark.parametrize("name", ["HOST", "host", "PORT", "MODEL", "HUB", "THREADS", "SPACE"])
def test_variables_of_other_programs_change_nothing(monkeypatch, name):
    before = Settings.read()
    monkeypatch.setenv(name, "1")
    assert Settings.read() == before


@pytest.mark.parametrize(
    "field, value, expected",
    [
        ("models", " gpt2 , /srv/tiny,", ("gpt2", "/srv/tiny")),
        ("allow_any_model", "1", True),
        ("models_bytes", "1.5GB", 1_500_000_000),
        ("cache_bytes", "1MiB", 1 << 20),
        ("hub", "http://mirror.example/", "http://mirror.example"),
        ("device", "cuda:1", "cuda:1"),
        ("max_rows", "", 384),
    ],
)
def test_values_are_read(monkeypatch, field, value, expected):
    monkeypatch.setenv(variables(field, Settings)[0], value)
    assert getattr(Settings.read(), field) == expected


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("PLAYGROUND_MAX_ROWS", "0", "greater than or equal to 2"),
        ("PLAYGROUND_MAX_ROWS", "many", "a whole number"),
        ("GRADIO_SERVER_PORT", "seventy", "a whole number"),
        ("PLAYGROUND_PORT", "70000", "less than or equal to 65535"),
        ("PLAYGROUND_ALLOW_ANY_MODEL", "perhaps", "true or false"),
        ("PLAYGROUND_DTYPE", "int4", "'bfloat16'"),
        ("PLAYGROUND_DEVICE", "gpu", "auto, cpu, mps, cuda"),
        ("PLAYGROUND_MODELS_BYTES", "plenty", "a size such as"),
        ("PLAYGROUND_DEADLINE_S", "inf", "a finite number"),
        ("PLAYGROUND_DEADLINE_S", "soon", "a number"),
        ("PLAYGROUND_MODEL", "  ", "more than blanks"),
        ("PLAYGROUND_RATE_LIMIT", "often", "such as 60/minute"),
        ("PLAYGROUND_RATE_LIMIT", "60", "such as 60/minute"),
        ("PLAYGROUND_RATE_LIMIT", "5/second, 0/hour", "such as 60/minute"),
        ("PLAYGROUND_PROXIES", "-1", "greater than or equal to 0"),
        ("HF_ENDPOINT", "hub.example", "https://"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(monkeypatch, name, value, words):
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        Settings.read()
    message = str(caught.value)
    assert message.startswith(f"{name} is {value!r}, but it should be ")
    assert words in message
    assert "\n" not in message and message.endswith(".")


def test_a_misspelt_name_is_told_with_the_nearest(monkeypatch):
    monkeypatch.setenv("PLAYGROUND_MODLE", "gpt2")
    with pytest.raises(SettingsError, match=r"PLAYGROUND_MODLE .* PLAYGROUND_MODEL"):
        Settings.read()


def test_in_python_fields_go_by_their_names_and_strangers_are_refused():
    assert Settings(port=80, hub_cache="/x", space_id="a/b").listen == "0.0.0.0"
    with pytest.raises(ValidationError, match="prot"):
        Settings(prot=80)


def test_the_table_has_a_described_row_for_every_field():
    rows = table().splitlines()[2:]
    assert len(rows) == len(Settings.model_fields)
    for row, (name, field) in zip(rows, Settings.model_fields.items(), strict=True):
        assert all(f"`{variable}`" in row for variable in variables(name, Settings))
        assert field.description and field.description in row


def test_libraries_are_told_not_to_report_home(monkeypatch):
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED", raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "0")
    settings.quiet_libraries()
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "0"  # a host's own value is kept


@pytest.mark.parametrize(
    "given, says",
    [
        ({"dtype": "int4"}, "dtype is 'int4', but it should be 'auto', 'float32', 'bfloat16'"),
        ({"device": "tpu"}, "device is 'tpu', but it should be auto, cpu, mps, cuda, or cuda:"),
    ],
)
def test_what_python_asks_for_is_refused_by_its_name(given, says):
    with pytest.raises(SettingsError) as refused:
        Playground(**given)
    assert str(refused.value).startswith(says)


def test_a_space_is_safe_without_being_told_and_does_what_it_is_told():
    here, space = Settings(), Settings(system="spaces")
    assert (here.requests_allowed, here.metrics_open) == ("", True)
    assert (space.requests_allowed, space.metrics_open) == ("120/minute", False)
    told = Settings(system="spaces", rate_limit="0", metrics=True)
    assert (told.requests_allowed, told.metrics_open) == ("", True)
    assert Settings(rate_limit="5/second").requests_allowed == "5/second"
