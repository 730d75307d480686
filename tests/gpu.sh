#!/usr/bin/env bash
# What a GPU does with the engine, in under 8 minutes: the engine's tests on it, then the bench of
# random models, whose table it writes into the README. Needs a Python with torch and transformers;
# what else the repository imports is installed where it is missing, from the folder WHEELS alone
# where that is set. `DEVICE=cpu tests/gpu.sh --shapes tiny --tokens 8` tries it anywhere.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
device=${DEVICE:-cuda}

wanted=$("$python" - <<'PYTHON'
import importlib.util
import re

names = {"pydantic-settings": "pydantic_settings", "huggingface-hub": "huggingface_hub"}
lines = open("requirements.txt").read().splitlines() + ["pytest", "hypothesis", "scipy"]
# The engine and its tests need neither the page nor HTTP.
apart = {"gradio", "fastapi", "starlette", "uvicorn", "fastapi-offline", "limits", "gguf"}
for line in lines:
    found = re.match(r"[A-Za-z0-9-]+", line)
    if found and found[0] not in {"torch", "transformers", *apart}:
        module = names.get(found[0], found[0].replace("-", "_"))
        if importlib.util.find_spec(module) is None:
            print(line.split("#")[0].strip())
PYTHON
)
if [ -n "$wanted" ]; then
    where=()
    [ -z "${WHEELS:-}" ] || where=(--no-index --find-links "$WHEELS")
    # shellcheck disable=SC2086  # one word for each requirement
    "$python" -m pip install --quiet "${where[@]}" $wanted
fi

engine=(batch_draws batch_invariance ends faults forking prompt_cache record rewinding scoring)
tested=0
PLAYGROUND_TEST_DEVICE=$device timeout 150 "$python" -m pytest -q --no-header --maxfail 10 \
    $(printf "tests/engine/test_%s.py " "${engine[@]}") 2>&1 | tail -n 30 || tested=$?
"$python" -m playground.bench gpu --device "$device" --seconds 280 --write README.md "$@"
exit "$tested"
