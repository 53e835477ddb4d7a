"""Without PyTorch the same music is played as with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import sampling
from musicgen_cli.checkpoint import Checkpoint, arrays
from musicgen_cli.dice import Coins, mixed
from musicgen_cli.errors import MusicgenError
from musicgen_cli.models import MODELS
from musicgen_cli.player import Player, can_play, drawer

CPU = torch.device("cpu")
FORMS = {"rolls": 176, "sounding keys": 88, "words": 9}
WORDS = ["<start>", "<unknown>", "C4:2", "R:1", "D4:3", "E4:1", "F4:4", "G4:1", "A4:2"]


def a_checkpoint(model, form="rolls", loss="focal", source=5, layers=2, **more):
    torch.manual_seed(1)
    size, listed = FORMS[form], form == "words"
    outputs = size + (loss == "cross-entropy" and not listed)
    sizes = {"size": size, "outputs": outputs, "hidden": 12, "dense": 7, "layers": layers, "ids": listed}
    network = MODELS[model].network(**sizes | more)
    for name, weights in network.named_parameters():  # so that what comes hangs on what was
        weights.data *= 0 if "bias" in name and listed else 4
    return Checkpoint(
        model=model, model_arguments=sizes | more, loss=loss, loss_arguments={"gamma": 1.5} if loss == "focal" else {},
        form=form, steps_per_quarter=4, tempo=100.0, time_signature=(4, 4), source=source, target=4,
        rates=[0.1] * size, split={}, content="", settings={}, state_dict=arrays(network.state_dict()),
        words=WORDS if listed else [], counts=[1] * size if listed else [],
    )  # fmt: skip


def played_both_ways(trained, prime, length=21, **how):
    seeds = [mixed(seed, 0) for seed in range(3)]
    primes = np.stack([prime] * len(seeds))
    lasting = trained.lasting
    coins = [torch.Generator().manual_seed(seed) for seed in seeds]
    made = sampling.generate(
        trained.build(CPU), torch.from_numpy(primes), length, trained.source, trained.target,
        sampling.drawer(trained.build_loss(), coins, **how),
        lasting=None if lasting is None else torch.from_numpy(lasting),
    ).numpy()  # fmt: skip
    draw = drawer(trained, [Coins(seed) for seed in seeds], **how)
    return Player(trained).play(primes, length, draw, lasting), made


def assert_the_same(one, other):
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other)
    assert len(np.unique(one)) > 1


@pytest.mark.parametrize("temperature", [0, 0.7])
@pytest.mark.parametrize("form", ["rolls", "sounding keys"])
@pytest.mark.parametrize("loss", ["bce", "focal", "cross-entropy"])
@pytest.mark.parametrize("model", ["next", "seq2seq", "poly"])
def test_rolls_are_the_same_from_the_same_seeds(model, loss, form, temperature):
    trained = a_checkpoint(model, form, loss)
    prime = (np.random.default_rng(0).random((7, FORMS[form])) < 0.1).astype(np.float32)
    how = {"threshold": 0.6} if loss != "cross-entropy" else {"top_k": 30, "top_p": 0.9}
    assert_the_same(*played_both_ways(trained, prime, temperature=temperature, **how))


@pytest.mark.parametrize(
    "how", [{"temperature": 0}, {"temperature": 1.3}, {"temperature": 1, "top_k": 3, "top_p": 0.8}]
)
@pytest.mark.parametrize("model", ["text", "next", "seq2seq"])
def test_words_are_the_same_from_the_same_seeds(model, how):
    trained = a_checkpoint(model, "words", "cross-entropy", layers=3)
    assert_the_same(*played_both_ways(trained, trained.prime(np.array(["C4:2", "D4:3", "R:1"])), **how))


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("bias", [np.nan, np.inf, -np.inf])
def test_songs_end_whatever_words_weigh(bias, temperature):  # as weights that overflow made them: nothing was drawn
    trained = a_checkpoint("next", "words", "cross-entropy")
    trained.state_dict["head.bias"][:] = bias
    draw = drawer(trained, [Coins(0)], temperature=temperature)
    made = Player(trained).play(trained.prime(trained.nothing)[None], 9, draw, trained.lasting)
    assert (made >= 2).all()


@pytest.mark.parametrize("model", ["next", "poly"])
def test_what_reads_songs_from_their_beginning_plays_the_same(model):
    trained = a_checkpoint(model, source=0)
    for steps in (0, 6):
        prime = (np.random.default_rng(steps).random((steps, 176)) < 0.1).astype(np.float32)
        assert_the_same(*played_both_ways(trained, prime, temperature=0.5, threshold=0.6))


@pytest.mark.parametrize("more", [{"chords": True}, {"memory": True}, {"tonality": True}, {"shifts": 2}])
def test_what_it_does_not_know_it_does_not_play(more):
    trained = a_checkpoint("next", **more)
    assert not can_play(trained)
    with pytest.raises(MusicgenError, match="damaged"):
        Player(trained)


@pytest.mark.parametrize("changes", [{"model": "other"}, {"loss_arguments": {}}])
def test_what_it_would_have_to_guess_it_does_not_play(changes):
    assert can_play(a_checkpoint("next"))
    assert not can_play(replace(a_checkpoint("next"), **changes))


def test_what_weighs_nothing_known_is_refused():
    trained = a_checkpoint("poly")
    name = next(iter(trained.state_dict))
    whole = trained.state_dict[name]
    for wrong in (whole[:-1], whole.astype(np.float64), None):
        trained.state_dict[name] = wrong
        with pytest.raises(MusicgenError, match="damaged"):
            Player(trained)


@settings(max_examples=30)
@given(st.integers(0, 2**63 - 1), st.lists(st.integers(1, 400), max_size=4))
def test_coins_are_those_of_torch(seed, counts):
    own, generator = Coins(seed), torch.Generator().manual_seed(seed)
    for count in counts:
        np.testing.assert_array_equal(own.draw(count), torch.rand(count, generator=generator).numpy())
