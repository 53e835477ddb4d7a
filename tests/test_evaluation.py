import math

import numpy as np
import pytest
import torch

from musicgen_cli import corpus, roll, words
from musicgen_cli.checkpoint import Checkpoint
from musicgen_cli.corpus import Song
from musicgen_cli.evaluation import _compare, baselines, choose_songs, free_running, one_step
from musicgen_cli.likelihood import summary
from musicgen_cli.material import of_words
from musicgen_cli.metrics import Counts, count
from musicgen_cli.models import MODELS
from musicgen_cli.sampling import drawer, generate
from musicgen_cli.vocabulary import UNKNOWN, spelling

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
        digests, "", {"epochs": 1}, model.state_dict(),
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
    settings = {"prime": 6, "length": 8, "threshold": 0.45, "temperatures": {"model": 0.0}, "seed": 0}
    row, *_ = free_running(point, network, music, [0, 1, 2], CPU, **settings).rows
    assert len(row.songs) == 2  # nine steps are too few
    for song, counts in zip([0, 2], row.songs):
        prime = torch.from_numpy(music.roll(song)[:6].reshape(1, 6, 176)).float()
        made = generate(network, prime, 8, SOURCE, TARGET, drawer(point.build_loss(), threshold=0.45))[0] > 0.5
        assert counts == count(made.numpy(), music.roll(song)[6:14].reshape(8, 176))


def test_running_free_draws_the_same_whatever_the_batch(monkeypatch):
    music = a_corpus([14] * 5)
    point = trained(music, {})
    settings = {"prime": 6, "length": 8, "threshold": 0.45, "temperatures": {"model": 1.0}, "seed": 3}
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


def test_nats_are_given_per_step_note_and_quarter_note():
    music = a_corpus([9, 7])
    point = trained(music, {"test": [0, 1]})
    report = one_step(point, point.build(CPU), music, [0, 1], 0.5, CPU)
    nats, notes = summary(report.rows[0].nats, report.judged), sum(len(music.score(i).notes) for i in range(2))
    assert nats["nats_per_step"] * 16 == pytest.approx(nats["nats_per_quarter"] * 16 / 4)
    assert nats["nats_per_step"] * 16 == pytest.approx(nats["nats_per_note"] * notes)
    assert report.rows[3].name == "silence"
    assert report.rows[3].nats is None  # it has no likelihood


@pytest.mark.parametrize("bits", [1, 2])
def test_a_rate_for_each_bit_is_the_likelihood_that_needs_no_model(bits):
    music = a_corpus([9, 7], bits)
    point = trained(music, {"test": [0, 1]}, bits)
    point.rates = np.random.default_rng(0).uniform(0.01, 0.9, 88 * bits).tolist()
    _, _, row, *_ = one_step(point, point.build(CPU), music, [0, 1], 0.5, CPU).rows
    steps = music.music.reshape(16, -1)
    by_hand = sum(-math.log(p if bit else 1 - p) for step in steps for p, bit in zip(point.rates, step))
    assert (row.name, sum(song.sum() for song in row.nats)) == ("a rate for each bit", pytest.approx(by_hand))
    assert row.all == count(np.tile(np.array(point.rates) > 0.5, (16, 1)), steps)


# -- words

TUNES = [
    ["C4.E4:2", "G4:1", "R:1", "C4.E4:2", "A4:2", "G4:4"],
    ["G4:1", "C4.E4:2", "R:1", "F4.A4:2", "G4:4"],
    ["C4.E4:2", "B-3:2", "G4:1", "C4.E4:2"],
]


def words_corpus(tunes=TUNES):
    return corpus.gather([(Song(str(i)), np.array(tune)) for i, tune in enumerate(tunes)])


def trained_on_words(music, train=(0, 1), model="text"):
    torch.manual_seed(0)
    material = of_words(music, list(train), furthest=0)
    sizes = {"size": material.size, "outputs": material.size, "ids": True, "hidden": 6, "dense": 5, "layers": 1}
    split = {"train": [music.digest(i) for i in train], "valid": [], "test": []}
    return Checkpoint(
        model, sizes, "cross-entropy", material.loss, "words", 4, 120.0, (4, 4), 3, 2, material.rates.tolist(), split,
        "", {"epochs": 1}, MODELS[model].network(**sizes).state_dict(),
        words=material.vocabulary.words.tolist(), counts=material.vocabulary.counts.tolist(),
    )  # fmt: skip


@pytest.mark.parametrize("model", ["text", "seq2seq"])
def test_words_are_judged_one_by_one_as_by_hand(model):
    music = words_corpus()
    point = trained_on_words(music, model=model)
    network, loss, known = point.build(CPU), point.build_loss(), point.vocabulary
    ids = torch.from_numpy(known.ids(music[2]).astype(np.int64))
    assert ids.tolist().count(UNKNOWN) == 1  # B-3:2
    padded = torch.cat([torch.zeros(3, dtype=torch.int64), ids])
    nats, right = 0.0, 0
    with torch.no_grad():
        for t in range(4):
            begin = t - t % 2  # the model reads again at each target's beginning
            state = network.encode(padded[None, begin : begin + 3])
            for u in range(begin, t + 1):
                features, state = network.advance(padded[None, 3 + u - 1], state)
            logits = network.head(features)[0]
            share = logits[2:].softmax(0) * (1 - loss.unseen)
            nats -= math.log(loss.unseen if ids[t] == UNKNOWN else share[ids[t] - 2].item())
            right += int(share.argmax() + 2 == ids[t])
    report = one_step(point, network, music, [2], 0.5, CPU)
    row = report.rows[0]
    assert row.nats[0].sum() == pytest.approx(nats + spelling(np.array(["B-3:2"]), known.words[2:])[0], rel=1e-5)
    assert (row.accuracy, report.unknown, report.steps, report.judged.notes) == (right / 4, 1, 4, 6)
    found = summary(row.nats, report.judged)
    assert found["nats_per_quarter"] == pytest.approx(row.nats[0].sum() / (7 / 4))
    assert found["perplexity"] == pytest.approx(np.exp(row.nats[0].mean()))


def test_words_stand_beside_the_unigram_and_the_last_word():
    music = words_corpus()
    point = trained_on_words(music)
    report = one_step(point, point.build(CPU), music, [0, 2], 0.5, CPU)
    assert [row.name for row in report.rows] == ["model", "unigram", "copy the last word"]
    _, unigram, copied = report.rows
    rates = np.array(point.rates)
    share = dict(zip(point.words, (1 - point.loss_arguments["unseen"]) * rates / rates[2:].sum()))
    came = TUNES[0] + [word for word in TUNES[2] if word != "B-3:2"]
    new = np.log(point.loss_arguments["unseen"]) - spelling(np.array(["B-3:2"]), np.array(point.words[2:]))[0]
    assert sum(song.sum() for song in unigram.nats) == pytest.approx(-sum(np.log(share[word]) for word in came) - new)
    commonest = max(point.words[2:], key=share.__getitem__)
    assert unigram.accuracy == sum(word == commonest for word in TUNES[0] + TUNES[2]) / 10
    assert (copied.nats, copied.accuracy) == (None, 0)


def test_a_word_said_is_compared_with_the_one_that_came_bit_by_bit():
    said, came = np.array(["C4.E4:3", "R:2", "G4:1"]), np.array(["C4.G4:2", "C4:2", "G4:1"])
    by_hand = Counts()
    for one, other in zip(said, came):
        rolls = [roll.encode(words.decode([word], 4)) for word in (one, other)]
        longest = max(map(len, rolls))
        padded = [np.concatenate([bits, np.zeros((longest - len(bits), 88, 2), bool)]) for bits in rolls]
        by_hand += count(*padded)
    assert _compare(said, came) == by_hand


def test_words_running_free_hear_only_themselves_and_are_judged_as_rolls():
    music = words_corpus([TUNES[0] * 3, TUNES[2]])
    point = trained_on_words(music, train=(0,))
    network = point.build(CPU)
    report = free_running(
        point, network, music, [0, 1], CPU, prime=7, length=10, threshold=0.5, temperatures={"model": 0.0}, seed=0
    )
    assert len(report.rows[0].songs) == 1  # the other is too short
    ids = point.vocabulary.ids(music[0][2:5])
    prime = torch.from_numpy(ids).long()[None]  # the fifth word is cut at step 7, and heard whole
    lasting = torch.from_numpy(point.lasting)
    made = generate(network, prime, 10, 3, 2, drawer(point.build_loss()), lasting=lasting)[0]
    spelt = words.cut(point.vocabulary.words[made.numpy()], 10)
    assert report.rows[0].all == count(roll.encode(words.decode(spelt, 4)), music.roll(0)[7:17])
    assert [row.name for row in report.rows[1:]] == [*baselines(point)]


def test_the_commonest_keys_of_words_are_those_that_sound_longest():
    music = words_corpus([["C4:8", "E4:4", "G4:2", "C5:2", "D4:1", "D4:1", "D4:1", "F4:1"]])
    guess = baselines(trained_on_words(music, train=(0,)))["4 commonest keys"](np.zeros((1, 88, 2), bool))
    assert [key + 21 for key in np.flatnonzero(guess[0, :, 1])] == [60, 62, 64, 67]
