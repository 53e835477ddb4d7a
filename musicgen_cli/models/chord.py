"""A head that spells a step from the top down: the next sounding bit below the last one, or "end"."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from musicgen_cli.hearing import Hearing
from musicgen_cli.tonality import CLASSES, FADING

CHUNK = 1 << 11  # steps spelled at once: what bounds memory over whole songs
CHANNELS, REACH, KINDS = 32, 25, 16  # of the convolution over keys: an octave each way
INTERVALS = 12  # numbers by which a small step says which intervals it likes

Pick = Callable[[Tensor, Tensor], Tensor]  # log-probabilities (A, choices), of which songs (A,) -> choices (A,)


@dataclass(frozen=True)
class Given:
    """Notes that are set already, and what may sound beside them: bool, (..., size)."""

    must: Tensor
    may: Tensor

    def at(self, t: int) -> "Given":
        """Of one step, (B, size), of (B, T, size)."""
        return Given(self.must[:, t], self.may[:, t])

    def of(self, songs: Tensor, batch: int) -> "Given":
        """Of some songs among `batch`, (A, size)."""
        return Given(*(bits.expand(batch, -1)[songs] for bits in (self.must, self.may)))

    def allows(self, below: Tensor, bits: int) -> Tensor:
        """Which choices (B, size + 1) leave all given notes to come, of those `below` the last one.

        What lies below the next given note waits until that is set, and so does the end.
        """
        size = self.must.shape[1]
        left = self.must & below[:, :size]
        key = torch.arange(size, device=left.device) // bits
        following = torch.where(left, key, -1).amax(1, keepdim=True)
        free = self.may & (key > following) | left & (key == following)
        return torch.cat([free, following < 0], 1)


class Rules(NamedTuple):
    """How chords are spelled, for each choice.

    limit: what may come after it, bool (size + 1, size + 1); below: which choice is so far below it, int64
    (size + 1, size); continues: whether it continues a note, bool (size + 1,)
    """

    limit: Tensor
    below: Tensor
    continues: Tensor


@cache
@torch.inference_mode(False)  # or they could not be learned with later on
def rules(size: int, bits: int, device: torch.device) -> Rules:
    """The tables for a device, made when they are first used: a model that only tells its sizes needs none."""
    choice = torch.arange(size + 1, device=device)
    key = choice // bits
    limit = (key < key[:, None]) | (choice == size)
    below = (key[:, None] - key).clamp(0) * bits + choice % bits
    return Rules(limit, below.clamp(max=size - 1)[:, :size], (choice % 2 == 1) & (choice < size) & (bits == 2))


class ChordHead(nn.Module):
    """Given the notes above, a softmax over the bits below them and "end" (choice `size`): an exact likelihood.

    It sees the features of a step and what was heard; of the chord, the sum of the embeddings of the bits spelled so
    far, the last of them, and the interval from there. What was heard around a key counts in the same way for every
    key: a convolution over the keyboard (tied weights, as in Johnson 2017). Of two bits of a key one can be set, and
    only what sounds can be continued: every step that can be played has one spelling.
    hearing: what is heard of a step; bits: of each key; features: of the model, hidden: units of a small step
    """

    def __init__(self, hearing: Hearing, bits: int, features: int, hidden: int):
        super().__init__()
        self.hearing, self.bits, self.size = hearing, bits, hearing.size
        size, features = hearing.size, features + hearing.width
        self.hidden = nn.Linear(features, hidden)
        self.direct = nn.Linear(features, size + 1)
        self.above = nn.Embedding(size + 1, hidden, padding_idx=size)
        self.last = nn.Embedding(size + 1, hidden)
        self.after = nn.Embedding(size + 1, size + 1)
        self.out = nn.Linear(hidden, size + 1)
        self.around = nn.Sequential(
            nn.Conv1d(hearing.planes * bits + hearing.tonality * len(FADING), CHANNELS, REACH, padding=REACH // 2),
            nn.ReLU(),
            nn.Conv1d(CHANNELS, KINDS * bits, 1),
        )
        self.weigh = nn.Linear(hidden, KINDS)
        self.interval = nn.Sequential(nn.Linear(hidden, INTERVALS), nn.Linear(INTERVALS, size, bias=False))
        for table in (self.above, self.last):
            nn.init.normal_(table.weight, std=0.1)
        self.above.weight.data[size] = 0
        nn.init.zeros_(self.after.weight)

    @property
    def rules(self) -> Rules:
        return rules(self.size, self.bits, self.after.weight.device)

    @property
    def bias(self) -> nn.Parameter:
        """What every step begins with, (size + 1)."""
        return self.direct.bias

    def forward(self, features: Tensor) -> "Chords":
        """The distribution of the steps that follow, of features (..., D) that end with what was heard."""
        heard = features[..., -self.hearing.width :]
        return Chords(self, self.hidden(features).float(), self.direct(features).float(), heard)

    def surroundings(self, heard: Tensor) -> Tensor:
        """What lies around each key in the steps that were heard (N, heard), in so many kinds (N, KINDS, size)."""
        keyboard = torch.unflatten(self.hearing.keyboards(heard), 2, (-1, self.bits)).transpose(2, 3).flatten(1, 2)
        classes = self.hearing.classes(heard)[:, :, torch.arange(keyboard.shape[2], device=heard.device) % CLASSES]
        kinds = self.around(torch.cat([keyboard, classes], 1)).float()
        return torch.unflatten(kinds, 1, (KINDS, self.bits)).transpose(2, 3).flatten(2)

    def logits(
        self, hidden: Tensor, direct: Tensor, above: Tensor, last: Tensor, weighed: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Of the next choice, (K, size + 1), after `last` (K,), where `above` (K, hidden) stands for all so far.

        weighed: the kinds of surroundings, weighed by (K, KINDS), as (K, size)
        """
        mixed = (hidden + above + self.last(last)).tanh()
        interval = self.interval(mixed).gather(1, self.rules.below[last]) * (last < self.size)[:, None]
        logits: Tensor = self.out(mixed) + direct + self.after(last)
        return logits + F.pad(weighed(self.weigh(mixed)) + interval, (0, 1))

    def begins(self, heard: Tensor) -> Tensor:
        """Which choices begin a note after what was heard (N, heard), bool (N, size + 1)."""
        if self.bits == 2:
            starts = ~self.rules.continues
            return F.pad(starts[:-1], (0, 1)).expand(len(heard), -1)
        return F.pad(self.hearing.bits(heard) == 0, (0, 1))

    def playable(self, heard: Tensor) -> Tensor:
        """Which choices can be played after what was heard (N, heard), bool (N, size + 1)."""
        if self.bits == 1:
            return ~self.rules.continues.expand(len(heard), -1)
        sounds: Tensor = F.pad(sounding(self.hearing.bits(heard)).repeat_interleave(2, 1), (0, 1))
        return sounds | ~self.rules.continues


@dataclass(frozen=True)
class Chords:
    """Distributions over steps (...): what a ChordHead says of each.

    hidden: (..., H); direct: (..., size + 1); heard: what was heard of the step before
    """

    head: ChordHead
    hidden: Tensor
    direct: Tensor
    heard: Tensor

    def flat(self) -> "Chords":
        """The same distributions in one row, (N, ...)."""
        return Chords(self.head, *(part.flatten(0, -2) for part in (self.hidden, self.direct, self.heard)))

    def nats(self, target: Tensor) -> Tensor:
        """The negative log-likelihood (...) of steps (..., size)."""
        parts = (self.hidden, self.direct, self.heard, target)
        chunks = zip(*(torch.split(part.flatten(0, -2), CHUNK) for part in parts))
        return torch.cat([self._nats(*chunk) for chunk in chunks]).view(target.shape[:-1])

    def _nats(self, hidden: Tensor, direct: Tensor, heard: Tensor, target: Tensor) -> Tensor:
        """Of one chunk, (N,): every note of every step in one pass, since the notes are given."""
        head, size = self.head, self.head.size
        spelled = spell(target if head.bits == 1 else as_read(target, head.hearing.bits(heard)))
        last = F.pad(spelled[:, :-1], (1, 0), value=size)
        above = head.above(last).cumsum(1)
        notes = (spelled < size).sum(1, keepdim=True)
        step, place = (torch.arange(spelled.shape[1], device=notes.device) <= notes).nonzero(as_tuple=True)
        around = head.surroundings(heard)

        def weighed(weights: Tensor) -> Tensor:
            spread = weights.new_zeros(*spelled.shape, KINDS).index_put((step, place), weights)
            return torch.bmm(spread, around)[step, place]

        logits = head.logits(hidden[step], direct[step], above[step, place], last[step, place], weighed)
        able = head.rules.limit[last[step, place]] & head.playable(heard)[step]
        nats = F.cross_entropy(logits.masked_fill(~able, -torch.inf), spelled[step, place], reduction="none")
        return hidden.new_zeros(len(target)).index_add(0, step, nats)

    def draw(self, pick: Pick, given: Given | None = None, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Steps (B, size), spelled by `pick` for all songs at once, and how likely in them what is given was, log (B,).

        temperature: of the choice which note begins, not of whether one does
        """
        head, batch = self.head, len(self.hidden)
        around, playable, begins = (f(self.heard) for f in (head.surroundings, head.playable, head.begins))
        step = self.hidden.new_zeros(batch, head.size + 1)
        songs = torch.arange(batch, device=step.device)  # those whose chords go on
        last, above = torch.full_like(songs, head.size), torch.zeros_like(self.hidden)
        likely = self.hidden.new_zeros(batch)
        while len(songs):
            able = head.rules.limit[last] & playable[songs]
            weighed = partial(weigh, around[songs])
            logits = head.logits(self.hidden[songs], self.direct[songs], above, last, weighed)
            scores = tempered(logits.masked_fill(~able, -torch.inf).log_softmax(-1), begins[songs], temperature)
            if given:
                allowed = able & given.of(songs, batch).allows(head.rules.limit[last], head.bits)
                scores = scores.masked_fill(~allowed, -torch.inf)
                likely[songs] += scores.logsumexp(-1)
                scores = scores.log_softmax(-1)
            choice = pick(scores, songs)
            step[songs, choice] = 1
            more = choice < head.size
            songs, last, above = songs[more], choice[more], (above + head.above(choice))[more]
        return step[:, :-1], likely


def weigh(around: Tensor, weights: Tensor) -> Tensor:
    """The kinds of surroundings (A, KINDS, size) weighed by (A, KINDS), as (A, size)."""
    return torch.bmm(weights[:, None], around)[:, 0]


def tempered(scores: Tensor, begins: Tensor, temperature: float) -> Tensor:
    """Log-probabilities (A, C), those of choices that begin a note to the power of 1 / temperature among themselves.

    Their sum stays: rhythm is as the model expects. Tempered as a whole, music comes to rest, since going on is likely.
    """
    if temperature == 1:
        return scores
    among = scores.masked_fill(~begins, -torch.inf)
    sum_ = among.logsumexp(-1, keepdim=True)
    return torch.where(begins & sum_.isfinite(), (among / temperature).log_softmax(-1) + sum_, scores)


def spell(steps: Tensor) -> Tensor:
    """Steps (N, size) as their set bits from the top down, int64 (N, most + 1), filled up with `size`, the end."""
    size = steps.shape[1]
    count = steps.sum(1, dtype=torch.int64)
    step, from_top = steps.flip(1).nonzero(as_tuple=True)
    rank = torch.arange(len(step), device=steps.device) - (count.cumsum(0) - count)[step]
    spelled = torch.full((len(steps), int(count.max()) + 1), size, device=steps.device)
    spelled[step, rank] = size - 1 - from_top
    return spelled


def as_read(steps: Tensor, before: Tensor) -> Tensor:
    """Two-bit steps (N, size) as a roll is read: a start wins, and a continue with nothing to continue is a start."""
    starts, continues = (bits > 0 for bits in steps.view(len(steps), -1, 2).unbind(2))
    sounded = sounding(before)
    return torch.stack([starts | (continues & ~sounded), continues & ~starts & sounded], 2).flatten(1)


def sounding(steps: Tensor) -> Tensor:
    """Which keys sound, bool (N, size / 2), of two-bit steps (N, size)."""
    return steps.reshape(len(steps), -1, 2).amax(2) > 0
