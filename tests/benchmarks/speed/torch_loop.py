"""The same network and step in PyTorch: as it comes, in channels-last order, and compiled by Inductor."""

from __future__ import annotations

import torch
from contender import LEARNING_RATE, NUM_EXAMPLES, Job, Steps
from torch import nn
from torch.nn import functional

_STAGE_CHANNELS = (16, 32, 64)


class Block(nn.Module):
    """Two convolutions and a shortcut without parameters."""

    def __init__(self, width: int, channels: int, *, halves: bool) -> None:
        super().__init__()
        self.halves, self.missing = halves, channels - width
        stride = 2 if halves else 1
        self.first = nn.Conv2d(width, channels, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(2))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Add the residual."""
        inner = functional.relu(self.norms[0](self.first(values)), inplace=True)
        residual = self.norms[1](self.second(inner))
        if self.halves:
            half = self.missing // 2
            pads = (0, 0, 0, 0, half, self.missing - half)
            values = functional.pad(values[:, :, ::2, ::2], pads)
        return functional.relu(values + residual, inplace=True)


class ResNet(nn.Module):
    """A CIFAR ResNet of depth 6n + 2 with shortcuts of option A."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)]
        width = 16
        for stage, channels in enumerate(_STAGE_CHANNELS):
            for place in range((depth - 2) // 6):
                layers.append(Block(width, channels, halves=stage > 0 and place == 0))
                width = channels
        self.body, self.outputs = nn.Sequential(*layers), nn.Linear(width, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return raw outputs [B, 10]."""
        return self.outputs(self.body(images).mean((2, 3)))


def make(job: Job) -> Steps:
    """Build network, optimiser and loop."""
    torch.set_num_threads(job.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    order = torch.contiguous_format if job.name == "torch" else torch.channels_last
    model = ResNet(job.depth).to(device, memory_format=order)
    optimiser = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    run = torch.compile(model) if job.name == "torch-compiled" else model
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (NUM_EXAMPLES, 3, 32, 32), generator=draw, dtype=torch.uint8)
    images = images.to(device, memory_format=order)
    labels = torch.randint(0, 10, (NUM_EXAMPLES,), generator=draw).to(device)
    is_mixed = job.precision == "bfloat16"

    def steps(count: int) -> None:
        for _ in range(count):
            chosen = torch.randint(0, NUM_EXAMPLES, (job.batch_size,), generator=draw).to(device)
            inputs = ((images[chosen].float() - 127.5) / 64).contiguous(memory_format=order)
            with torch.autocast(device, torch.bfloat16, enabled=is_mixed):
                outputs = run(inputs)
            loss = functional.cross_entropy(outputs.float(), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return steps
