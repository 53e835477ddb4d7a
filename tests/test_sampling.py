import inspect

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from musicgen_cli import roll
from musicgen_cli.losses import BinaryCrossEntropy, Focal, KeyCrossEntropy, WordCrossEntropy
from musicgen_cli.models import MODELS
from musicgen_cli.roll import unflat
from musicgen_cli.sampling import best, drawer, generate, playable, random_state
from musicgen_cli.temperature import TOSSED, usual
from musicgen_cli.vocabulary import UNKNOWN

HIGH = drawer(BinaryCrossEntropy(), threshold=0.6)


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    model = MODELS["poly"].network(176, 176, hidden=16, dense=16)
    with torch.no_grad():
        model.head.weight.mul_(20)  # opinions strong enough to tell one step from another
    return model.eval()


def test_temperature_zero_is_the_threshold():
    logits = torch.linspace(-3, 3, 176).expand(2, 176)
    for value in (0.3, 0.5):
        above = best(Focal(), logits, value)
        assert torch.equal(above, (logits.sigmoid() > value).float())
        cold = drawer(Focal(), generators(2), threshold=value, temperature=1e-4)(logits, torch.ones(2, 176))[0]
        frozen = drawer(Focal(), threshold=value)(logits, torch.ones(2, 176))[0]
        assert torch.equal(frozen, playable(above, torch.ones(2, 176)))
        assert (cold != frozen).sum() <= 2  # what lies on the threshold itself


@pytest.mark.slow
@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), Focal()])
def test_an_honest_draw_sets_bits_as_often_as_the_model_expects(loss):
    chances = torch.tensor([0.02, 0.3, 0.9])
    honest = loss.logits(torch.zeros(())).sigmoid().item()  # the output whose calibrated probability is one half
    draw = drawer(loss, generators(20_000), threshold=honest, temperature=1.0)
    logits = torch.full((20_000, 88), -20.0)
    logits[:, :3] = loss.logits(chances.logit())
    drawn, _ = draw(logits, torch.zeros(20_000, 88))
    torch.testing.assert_close(drawn.mean(0)[:3], chances, atol=0.012, rtol=0)


def test_the_commands_default_is_the_temperature_that_thresholds_are_fitted_for():
    from musicgen_cli.commands.sample import sample  # which must not import torch to know it

    told = inspect.signature(sample).parameters["temperature"].annotation.__metadata__[0].help
    assert f"{TOSSED} for bits" in told
    assert usual("focal") == TOSSED


@given(st.integers(0, 1000))
def test_playable_steps_are_a_roll_that_decoding_leaves_as_it_is(seed):
    bits = np.random.default_rng(seed).random((6, 88, 2)) < 0.3
    played, before = [], torch.zeros(1, 176)
    for step in bits:
        before = playable(torch.from_numpy(step.reshape(1, 176)).float(), before)
        played.append(before)
    steps = unflat(torch.cat(played).numpy())
    assert (roll.encode(roll.decode(steps, 4)) == steps).all()
    assert (steps[:, :, 0] == bits[:, :, 0]).all()
    assert not (steps[:, :, 1] & ~bits[:, :, 1]).any()


@pytest.mark.parametrize("length", [1, 7, 8, 30])
def test_beyond_its_target_a_model_reads_the_last_steps_again(model, length):
    prime = torch.rand(2, 6, 176, generator=torch.Generator().manual_seed(0)).round()
    made = generate(model, prime, length, 6, 8, HIGH)
    assert made.shape == (2, length, 176)
    steps = prime
    for begin in range(0, length, 8):  # the same, chunk by chunk
        chunk = generate(model, steps[:, -6:], min(8, length - begin), 6, 8, HIGH)
        steps = torch.cat([steps, chunk.float()], 1)
    assert torch.equal(made.float(), steps[:, 6:])


def test_a_song_depends_on_its_own_seed_and_not_on_its_company(model):
    prime = torch.zeros(4, 6, 176)
    together = generate(model, prime, 12, 6, 8, drawer(Focal(), generators(4), temperature=1.0))
    alone = generate(model, prime[2:3], 12, 6, 8, drawer(Focal(), generators(1, seed=2), temperature=1.0))
    assert torch.equal(together[2:3], alone)
    assert not torch.equal(together[1], together[2])


def test_what_a_model_hears_is_what_it_played(model):  # DESIGN 8.1: the reference heard zeros at every step
    prime = torch.rand(1, 6, 176, generator=torch.Generator().manual_seed(1)).round()
    made = generate(model, prime, 8, 6, 8, HIGH)
    state, step = model.encode(prime), prime[:, -1]
    for t in range(8):
        features, state = model.advance(step, state)
        step, _ = HIGH(model.head(features), step)
        assert torch.equal(step, made[:, t].float())
    deaf = model.advance(torch.zeros(1, 176), model.encode(prime))[0]
    assert not torch.allclose(deaf, model.advance(prime[:, -1], model.encode(prime))[0])


def test_a_random_state_is_a_song_of_its_own(model):
    state = random_state(model.encode(torch.zeros(3, 4, 176)), generators(3))
    (hidden, cell), *_ = state
    assert hidden.shape == cell.shape == (3, 16)
    assert hidden.abs().max() < 1
    again = random_state(model.encode(torch.zeros(1, 4, 176)), generators(1, seed=1))
    assert torch.equal(again[0][0][0], hidden[1])


# -- one choice a step

ANSWERS = torch.tensor([9.0, 9.0, 2.0, 1.0, 0.0, -1.0])  # two specials, which nobody may say; four words
SHARES = ANSWERS[2:].softmax(0)


def words_drawn(count=8000, **settings):
    draw = drawer(WordCrossEntropy(0.1), generators(count), **{"temperature": 1.0, **settings})
    return draw(ANSWERS.expand(count, 6), torch.zeros(count, dtype=torch.int64))[0]


def shares(drawn):
    return torch.bincount(drawn, minlength=6).float() / len(drawn)


def test_words_are_drawn_as_often_as_the_model_expects_and_specials_never():
    found = shares(words_drawn())
    torch.testing.assert_close(found[2:], SHARES, atol=0.02, rtol=0)
    assert not found[:2].any()


def test_temperature_sharpens_and_flattens():
    for temperature in (0.5, 2.0):
        expected = (ANSWERS[2:] / temperature).softmax(0)
        torch.testing.assert_close(shares(words_drawn(temperature=temperature))[2:], expected, atol=0.02, rtol=0)
    assert (words_drawn(count=50, temperature=1e-3) == 2).all()


def test_at_temperature_0_the_likeliest_is_taken():
    assert (words_drawn(count=3, temperature=0.0) == 2).all()
    assert best(WordCrossEntropy(0.5), ANSWERS[None]).tolist() == [2]
    assert best(KeyCrossEntropy(), ANSWERS[None]).tolist() == [[1, 0, 0, 0, 0]]


def test_top_k_leaves_the_k_likeliest():
    found = shares(words_drawn(top_k=2))[2:]
    torch.testing.assert_close(found, torch.cat([SHARES[:2] / SHARES[:2].sum(), torch.zeros(2)]), atol=0.02, rtol=0)
    assert (words_drawn(count=50, top_k=1) == 2).all()
    assert torch.equal(words_drawn(top_k=100), words_drawn())


def test_top_p_leaves_the_fewest_that_have_the_share():
    assert SHARES[0] < 0.7 < SHARES[:2].sum()
    found = shares(words_drawn(top_p=0.7))[2:]
    torch.testing.assert_close(found, torch.cat([SHARES[:2] / SHARES[:2].sum(), torch.zeros(2)]), atol=0.02, rtol=0)
    assert (words_drawn(count=50, top_p=0.01) == 2).all()  # the likeliest is left whatever the share
    assert torch.equal(words_drawn(top_p=1.0), words_drawn())


def test_one_key_is_drawn_as_often_as_the_model_expects_and_rest_too():
    logits = torch.full((20_000, 89), -20.0)
    logits[:, [3, 50, 88]] = torch.tensor([1.0, 0.0, 0.5])
    drawn, _ = drawer(KeyCrossEntropy(), generators(20_000), temperature=1.0)(logits, torch.zeros(20_000, 88))
    assert set(drawn.sum(1).tolist()) == {0.0, 1.0}
    found = torch.stack([drawn[:, 3].mean(), drawn[:, 50].mean(), 1 - drawn.sum(1).mean()])
    torch.testing.assert_close(found, torch.tensor([1.0, 0.0, 0.5]).softmax(0), atol=0.012, rtol=0)


def test_a_key_that_does_not_sound_is_never_continued():
    logits = torch.full((2, 177), -5.0)
    logits[:, 2 * 40 + 1] = 9.0  # go on with key 40
    logits[:, 2 * 50] = 1.0  # strike key 50
    before = torch.zeros(2, 176)
    before[1, 2 * 40] = 1.0
    for draw in (drawer(KeyCrossEntropy()), drawer(KeyCrossEntropy(), generators(2), temperature=0.2)):
        silent, sounding = unflat(draw(logits, before)[0].numpy())
        assert np.argwhere(silent).tolist() == [[50, 0]]
        assert np.argwhere(sounding).tolist() == [[40, 1]]


@pytest.fixture(scope="module")
def speaker():
    """A model of words, the first two ids specials."""
    torch.manual_seed(4)
    model = MODELS["text"].network(12, 12, ids=True, hidden=16, dense=16)
    with torch.no_grad():
        model.head.weight.mul_(20)
    return model.eval()


LASTING = torch.tensor([0, 0, 1, 1, 2, 2, 3, 4, 6, 8, 1, 5])


def said(model, songs, length, seed=0):
    draw = drawer(WordCrossEntropy(0.1), generators(songs, seed), temperature=1.0)
    return generate(model, torch.zeros(songs, 6, dtype=torch.int64), length, 6, 4, draw, lasting=LASTING)


def test_words_go_on_until_every_song_lasts_long_enough(speaker):
    made = said(speaker, 5, 40)
    assert made.dtype == torch.int64
    assert (LASTING[made].sum(1) >= 40).all()
    assert (LASTING[made[:, :-4]].sum(1) < 40).any()  # and no longer than by a target
    assert (made > UNKNOWN).all()


def test_a_song_of_words_hangs_on_its_own_seed_and_not_on_how_long_others_last(speaker):
    together = said(speaker, 6, 40)
    for i in range(6):
        alone = said(speaker, 1, 40, seed=i)[0]
        assert torch.equal(together[i, : len(alone)], alone)
    assert len({tuple(song.tolist()) for song in together}) == 6
