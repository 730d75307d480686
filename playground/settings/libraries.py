"""The environment variables of the libraries in use."""

from __future__ import annotations

import os

# Of the variables by which torch and the libraries under it choose kernels.
_KERNELS = (
    "ATEN_", "CUBLAS_", "CUDA_", "CUDNN_", "DNNL_", "GOMP_", "KMP_", "MKL_", "NVIDIA_", "OMP_",
    "ONEDNN_", "OPENBLAS_", "PYTORCH_", "TORCH",
)  # fmt: skip


QUIET = {
    "GOMP_SPINCOUNT": "10000",
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**12),
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_ANALYTICS_MAX_EVENTS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def quiet_libraries() -> None:
    """Keep gradio and the hub client from reporting home, and idle work off the processor.

    Call it before gradio, the hub client or torch is imported. Gradio would make a table of its
    last 10,000 events after every event, for a page of its own that is not served here: 4 to 14 ms
    in which no other Python thread runs. An OpenMP thread that waits for its team in a busy loop
    takes the processor from the thread that the team waits for: on two cores shared with a browser
    or another process that made a step twenty times slower.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


def outlive_head_node() -> None:
    """Have Ray leave a program alone that loses its cluster's head node, instead of ending it.

    Call it before ``ray.init``.
    """
    os.environ.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(10**8))


def kernel_environment() -> dict[str, str]:
    """The variables that are set by which torch and the libraries under it choose kernels."""
    found = {name: value for name, value in os.environ.items() if name.startswith(_KERNELS)}
    return dict(sorted(found.items()))
