"""Models here are so small that a second thread costs more than it gives."""

import torch
from hypothesis import settings

torch.set_num_threads(1)

# The same examples every time, however slow the machine.
settings.register_profile("strategies", deadline=None, derandomize=True, max_examples=80)
settings.load_profile("strategies")
