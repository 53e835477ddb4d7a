"""Songs around given notes are drawn from all songs that hold those notes, as likely as the model says they are."""

import itertools

import numpy as np
import pytest
import torch

from musicgen_cli.losses import BinaryCrossEntropy, Chord
from musicgen_cli.models import MODELS, Given
from musicgen_cli.particles import Particles
from musicgen_cli.sampling import before_the_beginning, drawer, generate
from musicgen_cli.training import teach

pytestmark = pytest.mark.slow
SIZE, LENGTH, SONGS = 3, 3, 1500


def coins(count):
    return [torch.Generator().manual_seed(i) for i in range(count)]


@pytest.fixture(scope="module")
def model():
    """A model of chords on a keyboard of three keys, with opinions."""
    torch.manual_seed(5)
    network = MODELS["next"].network(
        SIZE, SIZE + 1, hidden=12, dense=8, layers=1, chords=True, memory=True, dropout=0.0, dense_dropout=0.0
    )
    for part in network.parameters():
        torch.nn.init.normal_(part, std=0.9)
    network.head.above.weight.data[SIZE] = 0
    return network.eval()


@pytest.fixture(scope="module")
def likelihoods(model):
    """All songs (512, 3, 3), and how likely each is."""
    songs = torch.tensor(list(itertools.product((0.0, 1.0), repeat=SIZE * LENGTH))).view(-1, LENGTH, SIZE)
    hearing = model.hearing
    told = torch.from_numpy(np.stack([hearing.recall(song.byte().numpy()) for song in songs]))
    heard = hearing.told(songs, told)
    source = before_the_beginning(model, songs[:, :0], 0)
    with torch.no_grad():
        nats = Chord()(teach(model, Chord(), source, heard), songs).view(-1, LENGTH).sum(1)
    return songs, (-nats).exp()


def harmonised(model, given, many):
    rows = coins(SONGS)
    draw = drawer(Chord(), [coin for coin in rows for _ in range(many)], temperature=1.0)
    nothing = torch.zeros(SONGS * many, 0, SIZE)
    return generate(model, nothing, LENGTH, 0, 8, draw, given=given, particles=Particles(many, rows))


def shares(songs, weights):
    """How often each bit is set."""
    return (songs * weights[:, None, None]).sum(0) / weights.sum()


def test_given_notes_are_heard_before_they_come(model, likelihoods):
    songs, likely = likelihoods
    torch.testing.assert_close(likely.sum(), torch.tensor(1.0))
    must, may = torch.zeros(1, LENGTH, SIZE, dtype=torch.bool), torch.ones(1, LENGTH, SIZE, dtype=torch.bool)
    must[0, 2, 1], may[0, 2, 2] = True, False  # the top of the last step is its middle key
    hold = ((songs >= must) & (songs <= (must | may))).all(2).all(1)
    expected = shares(songs, likely * hold)
    few, many = (shares(harmonised(model, Given(must, may), tries), torch.ones(SONGS)) for tries in (1, 32))
    assert (many - expected).abs().max() < 0.05
    assert (few - expected)[:2].abs().max() > 0.1  # one try hears nothing of what is to come


def test_what_was_given_is_as_likely_as_all_the_steps_that_hold_it(model):
    count, noise = 4000, torch.Generator().manual_seed(1)
    row = torch.randn(1, 12 + model.hearing.width, generator=noise)
    must, may = torch.tensor([[True, False, False]]), torch.tensor([[True, True, False]])
    draw = drawer(Chord(), coins(count), temperature=1.0)
    steps, likely = draw(model.head(row.expand(count, -1)), torch.zeros(count, SIZE), Given(must, may))
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=SIZE)))
    each = (-model.head(row.expand(8, -1)).nats(every)).exp().detach()
    hold = (every[:, 0] == 1) & (every[:, 2] == 0)
    torch.testing.assert_close(likely.exp().mean(), each[hold].sum(), atol=0.01, rtol=0)
    found = shares(steps[:, None], likely.exp())[0]
    torch.testing.assert_close(found, shares(every[:, None], each * hold)[0], atol=0.03, rtol=0)


def test_of_coins_what_was_given_is_as_likely_as_its_bits():
    logits = torch.tensor([[0.3, -1.0, 2.0, 0.5]])
    must, may = torch.tensor([[True, False, False, False]]), torch.tensor([[True, True, False, True]])
    draw = drawer(BinaryCrossEntropy(), coins(1), temperature=1.0)
    _, likely = draw(torch.nn.functional.pad(logits, (0, 84)), torch.zeros(1, 88), Given(pad(must), pad(may, True)))
    assert likely.exp().item() == pytest.approx(
        torch.tensor(0.3).sigmoid().item() * torch.tensor(-2.0).sigmoid().item()
    )


@pytest.mark.parametrize("seed", range(3))
def test_of_two_bits_what_is_given_is_as_likely_as_free_draws_hold_it(seed):
    noise, count = torch.Generator().manual_seed(seed), 20_000
    odds = torch.full((176,), -30.0)
    odds[80:88] = torch.randn(8, generator=noise) * 1.5
    before, must = torch.zeros(1, 176), torch.zeros(1, 176, dtype=torch.bool)
    before[0, 80], before[0, 83] = 1, 1  # the first two of four keys sound
    must[0, 80 if seed else 81] = True  # the first is struck again, or goes on
    may = torch.ones(1, 176, dtype=torch.bool)
    may[0, 80:82], may[0, 83], may[0, 84:86] = False, False, False  # its own bits; not on with the second; no third
    free, _ = drawer(BinaryCrossEntropy(), coins(count), temperature=1.0)(
        odds.expand(count, -1), before.expand(count, -1)
    )
    holds = ((free[:, :] >= must) & (free <= (must | may))).all(1).float().mean()
    kept, likely = drawer(BinaryCrossEntropy(), coins(count), temperature=1.0)(
        odds.expand(count, -1), before.expand(count, -1), Given(must, may)
    )
    assert ((kept >= must) & (kept <= (must | may))).all()
    torch.testing.assert_close(likely.exp().mean(), holds, atol=0.01, rtol=0)


@pytest.mark.parametrize("name", ["poly", "next"])
def test_tries_that_read_again_read_what_they_played(name):
    """Each kept song is what its model, fed that very song, would be given: nothing of another try is mixed in."""
    torch.manual_seed(1)
    network = MODELS[name].network(SIZE, SIZE + 1, hidden=8, dense=6, layers=1, chords=True, memory=True).eval()
    for part in network.parameters():
        torch.nn.init.normal_(part, std=0.8)
    network.head.above.weight.data[SIZE] = 0
    must, may = torch.zeros(1, 14, SIZE, dtype=torch.bool), torch.ones(1, 14, SIZE, dtype=torch.bool)
    must[0, 3::2, 1] = True
    rows = coins(4)
    draw, told = drawer(Chord(), [coin for coin in rows for _ in range(8)], temperature=1.0), []

    def listen(answer, before, given):
        step, likely = draw(answer, before, given)
        told.append((answer.nats(step), step))
        return step, likely

    class Traced(Particles):
        def resample(self, likely):
            rows = super().resample(likely)
            for i, parts in enumerate(told if rows is not None else []):
                told[i] = tuple(part[rows] for part in parts)
            return rows

        def choose(self):
            rows = super().choose()
            told[:] = [tuple(part[rows] for part in parts) for parts in told]
            return rows

    nothing = torch.zeros(32, 0, SIZE)
    made = generate(network, nothing, 14, 6, 4, listen, given=Given(must, may), particles=Traced(8, rows))
    assert torch.equal(torch.stack([step for _, step in told], 1).byte(), made)
    again = []

    def follow(answer, before, given):
        step = made[:, len(again)].float()
        again.append(answer.nats(step))
        return step, torch.zeros(4)

    generate(network, nothing[:4], 14, 6, 4, follow)
    torch.testing.assert_close(torch.stack([nats for nats, _ in told]), torch.stack(again))


def pad(bits, value=False):
    return torch.nn.functional.pad(bits, (0, 84), value=value)


def test_tries_go_on_in_proportion_to_their_weights_and_only_where_they_are_uneven():
    particles = Particles(4, coins(2))
    rows = particles.resample(torch.tensor([0.5, 0.25, 0.25, 1e-9, 0.25, 0.25, 0.25, 0.25]).log())
    assert rows is None
    rows = particles.resample(torch.tensor([1.0, 1e-9, 1e-9, 1e-9, 1.0, 1.0, 1.0, 1.0]).log())
    assert rows.tolist() == [0, 0, 0, 0, 4, 5, 6, 7]
    assert particles.weights.tolist()[0] == [0, 0, 0, 0]
    assert particles.choose()[1] >= 4
