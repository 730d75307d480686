"""A program as a ZeroGPU Space runs it, with the real ``spaces`` package; it tells JSON on stdout.

In place of CUDA the lent process computes on its CPU, where what the package does to torch is left
out: that needs the driver. Everything else is the package's own: scheduling, forking, its queues,
its errors and what it does when a worker dies.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import httpx

ASKED: dict[str, Any] = {
    "prompt": "abab",
    "max_new_tokens": 24,
    "min_new_tokens": 24,
    "recipes": ["greedy", "temperature(0.9) | top_k(40) | sample(2)", "beam(2)"],
}


def main(folder: str) -> None:
    from playground.settings import Settings, quiet_libraries

    settings = Settings.read().changed(model=folder, threads=1, dtype="float32")
    quiet_libraries()
    from playground.zero_gpu import GPU

    gpu = GPU.of(settings, device="cpu")
    _without_driver()
    from dataclasses import replace

    from playground.engine import Request
    from playground.service import Service

    service = Service(settings.changed(device="cpu"))
    told: dict[str, Any] = {}

    def run(kind: str, answer: str, act: Any = None, **more: Any) -> None:
        # A busy machine is no reason to give up, but where that is what is tried.
        service.gpu = replace(gpu, comes=2.0 if answer == "waits" else 300.0, news=300.0)
        httpx.post(f"{os.environ['SPACES_ZERO_DEVICE_API_URL']}/answer", params={"with": answer})
        asked = Request(**ASKED | more)
        made = service.submit_to_gpu(asked)
        seen = 0
        while not made.join(0.05):
            seen = max(seen, len(made.views[0].path()))
            if act is not None and seen:
                act(made)
                act = None
        done = made.comparison()
        told[kind] = {
            "texts": [[o.text for o in lane.trace.outputs] for lane in done.lanes],
            "reasons": [lane.finish_reason for lane in done.lanes],
            "notice": made.notice,
            "device": done.model.device,
            "queued": done.timings.queued,
            "first": done.lanes[0].metrics.timings.first_token,
            "records": [len(lane.trace.steps) for lane in done.lanes],
        }

    here = service.submit(Request(**ASKED))
    here.join()
    told["cpu"] = {
        "texts": [[o.text for o in lane.trace.outputs] for lane in here.comparison().lanes]
    }
    run("lent", "lends")
    run("again", "lends")
    run("quota", "quota")
    run("none", "none")
    run("waits", "waits")
    long = {"max_new_tokens": 400, "min_new_tokens": 400, "recipes": ["greedy"]}
    run("long", "lends", **long)
    run("lost", "lends", lambda made: _kill_children(), **long)
    run("stopped", "lends", lambda made: made.cancel(), **long)
    run("manual", "lends", lambda made: None, recipes=["manual"])
    print("TOLD" + json.dumps(told), flush=True)
    service.close()
    _kill_children()  # which hold this output open
    os._exit(0)  # the stand-in may still hold a request


def _without_driver() -> None:
    """Leave out what moves tensors to a GPU, in this process and those forked from it."""
    import spaces.zero.torch as of_torch

    of_torch.unpatch()
    of_torch.init = lambda uuid: None
    of_torch.size = lambda: 0
    of_torch.move = lambda callback=None: None
    of_torch.unpatch = lambda: None
    of_torch.enter_mode = lambda: None


def _kill_children() -> None:
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(file.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == os.getpid():
            os.kill(int(file.parent.name), signal.SIGKILL)


if __name__ == "__main__":
    late = threading.Timer(500, lambda: os._exit(3))  # rather than hang a test
    late.daemon = True
    late.start()
    main(sys.argv[1])
