"""Many tries at one song, of which those go on that lead to what is given: sequential Monte Carlo.

Filtering by particles (Gordon, Salmond and Smith 1993): each try is drawn as if nothing were to come, and weighed by
how likely the given notes were in it. In the limit of many, what is left is drawn from all songs that hold those notes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


class Particles:
    """`many` tries at each of some songs, row after row (songs * many,), with a generator for each song."""

    def __init__(self, many: int, generators: Sequence[torch.Generator]):
        self.many, self.generators = many, generators
        self.weights = torch.zeros(len(generators), many)  # log

    def resample(self, likely: Tensor) -> Tensor | None:
        """Which rows go on, int64 (rows,), where what is given was so likely in each, log (rows,); None if all do.

        Of a song the tries are drawn anew, in proportion to their weights, where those are as uneven as if fewer than
        half of the tries were left.
        """
        self.weights += likely.cpu().view_as(self.weights)
        shares = self.weights.softmax(1)
        uneven = (shares.square().sum(1) * self.many > 2).nonzero()[:, 0].tolist()
        rows = torch.arange(self.weights.numel()).view_as(shares)
        for song in uneven:
            marks = (torch.arange(self.many) + self._coin(song)) / self.many
            rows[song] = song * self.many + _reached(shares[song], marks)
            self.weights[song] = 0
        return rows.flatten().to(likely.device) if uneven else None

    def choose(self) -> Tensor:
        """One row of each song, int64 (songs,), drawn in proportion to the weights."""
        chosen = [_reached(share, self._coin(song)) for song, share in enumerate(self.weights.softmax(1))]
        return torch.cat(chosen) + torch.arange(len(chosen)) * self.many

    def _coin(self, song: int) -> Tensor:
        own = self.generators[song]
        return torch.rand(1, generator=own, device=own.device).cpu()


def _reached(shares: Tensor, marks: Tensor) -> Tensor:
    """Where the running sum of shares (many,) passes marks from 0 to 1, int64."""
    reached = shares.cumsum(0)
    return torch.searchsorted(reached, marks * reached[-1], right=True).clamp(max=len(shares) - 1)
