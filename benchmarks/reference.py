"""The fourth experiment as it was published, a step at a time, to measure against: the arithmetic, not the style."""

import random

import torch
from torch import Tensor, nn


class StepByStep(nn.Module):
    """An LSTM that reads and one that writes, called anew for each step; each bit alone through a dense layer."""

    def __init__(self, size: int, hidden: int, layers: int, dense: int):
        super().__init__()
        self.encoder = nn.LSTM(size, hidden, layers, batch_first=True)
        self.decoder = nn.LSTM(size, hidden, layers, batch_first=True)
        self.classifier = nn.Sequential(nn.Linear(hidden, dense), nn.ReLU(), nn.Dropout(0.5), nn.Linear(dense, size))

    def forward(self, source: Tensor, target: Tensor, teacher_forcing_ratio: float) -> Tensor:
        _, state = self.encoder(source)
        outputs, step = [], source[:, -1:]
        for t in range(target.shape[1]):
            output, state = self.decoder(step, state)
            logits = self.classifier(output)
            teacher_force = random.random() < teacher_forcing_ratio
            step = target[:, t : t + 1] if teacher_force else (logits > 0).float()
            outputs.append(logits)
        return torch.cat(outputs, 1)

    def predict(self, source: Tensor, length: int) -> Tensor:
        """Go on for `length` steps, a passage as long as the source at a time, each read anew as the next source."""
        made = list[Tensor]()
        while sum(part.shape[1] for part in made) < length:
            with torch.no_grad():
                source = (self(source, torch.zeros_like(source), 0.0) > 0).float()
            made.append(source)
        return torch.cat(made, 1)[:, :length]
