"""The conditions of a measurement, with which every report of the bench begins."""

from __future__ import annotations

import datetime
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playground import Playground


@dataclass(frozen=True)
class Conditions:
    """Figures are compared only with those measured under the same conditions."""

    model: str
    machine: str
    dtype: str
    threads: int
    date: str

    @classmethod
    def of(cls, own: Playground) -> dict[str, Any]:
        """The conditions of this process with this model, by field."""
        import torch

        return asdict(
            Conditions(
                model=own.facts.title,
                machine=machine(own.model.device),
                dtype=own.facts.dtype,
                threads=torch.get_num_threads(),
                date=datetime.date.today().isoformat(),
            )
        )

    @property
    def conditions(self) -> str:
        return f"{self.model}, {self.dtype}, {self.machine}, {self.threads} threads, {self.date}"


def machine(device: Any) -> str:
    """The GPU's name, or the processor's."""
    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
