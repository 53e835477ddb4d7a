import numpy as np
import pytest
import torch

from musicgen_cli import corpus
from musicgen_cli.checkpoint import Checkpoint
from musicgen_cli.corpus import Song
from musicgen_cli.evaluation import baselines, choose_songs, free_running, one_step
from musicgen_cli.metrics import count
from musicgen_cli.models import MODELS
from musicgen_cli.sampling import drawer, generate

CPU = torch.device("cpu")
SOURCE, TARGET = 6, 5
FORMS = {2: "rolls", 1: "sounding keys"}


def a_corpus(lengths, bits=2):
    rng = np.random.default_rng(0)
    songs = []
    for i, length in enumerate(lengths):
        sounds = rng.random((length, 88)) < 0.05
        sounds[:, 40 + i] = True
        music = np.stack([sounds & (rng.random(sounds.shape) < 0.4), sounds], 2)
        music[:, :, 1] &= ~music[:, :, 0]
        songs.append((Song(f"song {i}"), music if bits == 2 else sounds))
    return corpus.gather(songs)


def trained(music, split, bits=2):
    torch.manual_seed(0)
    sizes = {"size": 88 * bits, "outputs": 88 * bits, "hidden": 6, "dense": 5, "layers": 1}
    model = MODELS["poly"].network(**sizes)
    digests = {side: [music.digest(i) for i in songs] for side, songs in split.items()}
    rates = [0.0] * 88 * bits
    for key in (3, 10, 50, 60):
        rates[key * bits] = 0.5
    return Checkpoint(
        "poly", sizes, "focal", {"alpha": 0.75, "gamma": 2.0}, FORMS[bits], 4, 120.0, (4, 4), SOURCE, TARGET, rates,
        digests, {"epochs": 1}, model.state_dict(),
    )  # fmt: skip


def test_every_step_is_judged_once_whatever_the_length():
    music = a_corpus([3, 17, 10])
    point = trained(music, {"test": [0, 1, 2]})
    model, *others = one_step(point, point.build(CPU), music, [0, 1, 2], 0.5, CPU).rows
    assert [counts.bits for counts in model.songs] == [3 * 176, 17 * 176, 10 * 176]
    assert [counts.actual for counts in model.songs] == [int(music.roll(i).sum()) for i in range(3)]
    for row in others:
        assert [counts.bits for counts in row.songs] == [counts.bits for counts in model.songs]


def test_the_model_is_judged_step_by_step_as_by_hand():
    music = a_corpus([12])
    point = trained(music, {"test": [0]})
    network, loss = point.build(CPU), point.build_loss()
    steps = torch.from_numpy(music.roll(0).reshape(12, 176)).float()
    padded = torch.cat([torch.zeros(SOURCE, 176), steps])
    nats, guesses = 0.0, []
    with torch.no_grad():
        for t in range(12):
            begin = t - t % TARGET  # the model reads again at each target's beginning
            state = network.encode(padded[None, begin : begin + SOURCE])
            for u in range(begin, t + 1):
                features, state = network.advance(padded[None, SOURCE + u - 1], state)
            logits = network.head(features)
            nats += loss(logits[0], steps[t]).item()
            guesses.append((logits[0] > 0).numpy())
    row = one_step(point, network, music, [0], 0.5, CPU).rows[0]
    assert row.loss == pytest.approx(nats / 12, rel=1e-5)
    assert row.all == count(np.array(guesses), steps.numpy())


@pytest.mark.parametrize("bits", [1, 2])
def test_baselines_are_what_their_names_say(bits):
    music = a_corpus([4], bits)
    point = trained(music, {"test": [0]}, bits)
    so_far = music.roll(0)
    guesses = {name: guess(so_far) for name, guess in baselines(point).items()}
    assert list(guesses) == ["silence", "copy the last step", "hold the last step", "4 commonest keys"]
    assert all(guess.shape == so_far.shape for guess in guesses.values())
    assert not guesses["silence"].any()
    assert (guesses["copy the last step"] == so_far).all()
    sounding = so_far if bits == 1 else so_far.any(2)
    held, common = guesses["hold the last step"], guesses["4 commonest keys"]
    if bits == 2:
        assert not held[:, :, 0].any()
        held, common = held[:, :, 1], common[:, :, 1]
    assert (held == sounding).all()
    assert (np.flatnonzero(common[0]) == [3, 10, 50, 60]).all()


def test_the_baselines_of_one_step_know_the_step_before_and_silence_before_the_first():
    music = a_corpus([9])
    point = trained(music, {"test": [0]})
    rows = {row.name: row for row in one_step(point, point.build(CPU), music, [0], 0.5, CPU).rows}
    roll = music.roll(0)
    copied = np.concatenate([np.zeros_like(roll[:1]), roll[:-1]])
    assert rows["copy the last step"].all == count(copied, roll)


def test_running_free_hears_only_itself():
    music = a_corpus([20, 9, 14])
    point = trained(music, {"test": [0, 1, 2]})
    network = point.build(CPU)
    settings = {"prime": 6, "length": 8, "threshold": 0.45, "temperature": 0.0, "seed": 0}
    row, *_ = free_running(point, network, music, [0, 1, 2], CPU, **settings).rows
    assert len(row.songs) == 2  # nine steps are too few
    for song, counts in zip([0, 2], row.songs):
        prime = torch.from_numpy(music.roll(song)[:6].reshape(1, 6, 176)).float()
        made = generate(network, prime, 8, TARGET, drawer(point.build_loss(), threshold=0.45))[0] > 0.5
        assert counts == count(made.numpy(), music.roll(song)[6:14].reshape(8, 176))


def test_running_free_draws_the_same_whatever_the_batch(monkeypatch):
    music = a_corpus([14] * 5)
    point = trained(music, {})
    settings = {"prime": 6, "length": 8, "threshold": 0.45, "temperature": 1.0, "seed": 3}
    together = free_running(point, point.build(CPU), music, range(5), CPU, **settings).rows[0]
    monkeypatch.setattr("musicgen_cli.evaluation.BATCH", 2)
    assert free_running(point, point.build(CPU), music, range(5), CPU, **settings).rows[0] == together


def test_songs_are_known_again_by_their_content_and_new_ones_count_as_test():
    music = a_corpus([5, 6, 7, 8])
    point = trained(music, {"train": [0], "valid": [2], "test": [1]})
    shuffled = corpus.gather([(Song("renamed"), music.roll(i)) for i in (3, 2, 1, 0)])
    found = {side: choose_songs(point, shuffled, side) for side in ("train", "valid", "test", "all")}
    assert found == {"train": [3], "valid": [1], "test": [0, 2], "all": [0, 1, 2, 3]}


def test_silence_has_a_high_accuracy_and_no_recall():  # DESIGN 8.6
    music = a_corpus([30])
    point = trained(music, {"test": [0]})
    rows = {row.name: row for row in one_step(point, point.build(CPU), music, [0], 0.5, CPU).rows}
    assert rows["silence"].all.accuracy > 0.9
    assert rows["silence"].all.recall == 0
