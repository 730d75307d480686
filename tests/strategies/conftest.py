"""Models here are so small that a second thread costs more than it gives."""

import torch

torch.set_num_threads(1)
