import csv
import inspect
from functools import cache

import numpy as np
import pytest
import torch

from musicgen_cli import corpus, roll, words
from musicgen_cli.commands.train import train
from musicgen_cli.commands.watch import row, write_log
from musicgen_cli.corpus import Song
from musicgen_cli.dataset import as_input, cover, inside, rates, recalled, to_steps
from musicgen_cli.errors import MusicgenError
from musicgen_cli.losses import LOSSES, Chord, KeyCrossEntropy, WordCrossEntropy
from musicgen_cli.material import of_rolls, of_words
from musicgen_cli.models import MODELS
from musicgen_cli.roll import unflat
from musicgen_cli.sampling import BISECTIONS, drawer, generate
from musicgen_cli.score import Score
from musicgen_cli.temperature import TOSSED
from musicgen_cli.training import DECAYS, OPTIMIZERS, Training, evaluate, teach
from musicgen_cli.vocabulary import START
from tests.tunes import skip_without_bf16

CPU = torch.device("cpu")
# A round of eight quarter notes over a bass, as (start, end, pitch) in sixteenths.
TUNE = [(4 * i, 4 * i + 4, pitch) for i, pitch in enumerate([60, 62, 64, 65, 67, 65, 64, 62])] + [
    (0, 8, 48), (8, 16, 43), (16, 24, 48), (24, 32, 41),
]  # fmt: skip
SIZES = {"hidden": 32, "dense": 32, "dropout": 0.1, "dense_dropout": 0.1}


def a_corpus(songs=2):
    tune = roll.encode(Score(np.array(TUNE), 4))
    return corpus.gather([(Song(f"song {i}"), np.roll(tune, i * 7, axis=1)) for i in range(songs)])


def a_training(loss="focal", songs=2, valid=True, **changes):
    music = a_corpus(songs + 1)
    torch.manual_seed(0)
    model = MODELS["poly"].network(176, 176, **SIZES)
    settings = {
        "epochs": 3, "batch_size": 3, "optimizer": "adamw", "learning_rate": 1e-2, "warmup": 2, "weight_decay": 0.01,
        "clip": 1.0,
        "teacher_forcing": 0.5, "forcing_decay": "linear", "transpose": 2, "patience": 0, "seed": 5,
        "precision": "fp32",
    }  # fmt: skip
    heard = cover(music, [songs], 8, 8) if valid else None
    windows = inside(music, range(songs), 8, 8, 3)
    often = rates(music, range(songs))
    return Training(model, LOSSES["roll"][loss](), windows, heard, often, device=CPU, **{**settings, **changes})


def never():
    return False


def epochs_of(run, stop=never):
    return [event for event in run.run(stop) if event]


def outcome(run, epochs):
    rows = [(e.number, e.train.loss, e.valid and e.valid.loss, e.forcing, e.learning_rate, e.best) for e in epochs]
    return rows, run.model.state_dict(), run.best_weights, run.optimizer.state_dict()


@cache
def of_one_never_stopped(**changes):
    whole = a_training(**changes)
    return outcome(whole, epochs_of(whole))


def assert_same(one, other):
    assert one[0] == other[0]
    for mine, theirs in zip(one[1:3], other[1:3]):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert str(one[3]) == str(other[3])


@pytest.mark.parametrize("stop_after", [1, 2, 4, 6, 9, 11])
def test_a_training_resumed_equals_one_never_stopped(stop_after):
    first = a_training()
    begun = epochs_of(first, lambda: first.step >= stop_after)
    state = first.state()
    second = a_training()
    second.restore(state, {name: value.clone() for name, value in first.best_weights.items()})
    assert second.step == first.step == stop_after
    assert_same(outcome(second, begun + epochs_of(second)), of_one_never_stopped())


@pytest.mark.parametrize("piece", ["weights", "optimizer", "step", "scores", "best"])
def test_each_piece_of_the_state_is_needed_to_resume(piece):
    first = a_training(valid=False)
    begun = epochs_of(first, lambda: first.step >= 8)
    without = {**a_training(valid=False).state(), "best": -1.0}
    second = a_training(valid=False)
    second.restore({**first.state(), piece: without[piece]}, dict(first.best_weights))
    with pytest.raises(AssertionError):
        assert_same(outcome(second, begun + epochs_of(second)), of_one_never_stopped(valid=False))


def test_a_state_that_lacks_a_piece_is_refused():
    run = a_training()
    epochs_of(run, lambda: run.step >= 4)
    state = run.state()
    for piece in state:
        with pytest.raises(LookupError):
            a_training().restore({name: value for name, value in state.items() if name != piece}, run.best_weights)


def batches(run, monkeypatch):
    """What each batch of a training hears: (source, target, forced, dropout)."""
    heard = []

    def listen(model, loss, source, target, forced=None, dropout=None):
        heard.append((source, target, forced, dropout))
        return teach(model, loss, source, target, forced, dropout)

    monkeypatch.setattr("musicgen_cli.training.teach", listen)
    epochs_of(run)
    return [batch for batch in heard if batch[3] is not None]  # validation drops nothing out


def test_the_truth_is_heard_at_its_share_of_the_steps(monkeypatch):
    heard = batches(a_training(teacher_forcing=0.8, forcing_decay="linear", epochs=2), monkeypatch)
    shares = [forced.float().mean().item() for _, _, forced, _ in heard]
    half = len(shares) // 2
    assert np.mean(shares[:half]) == pytest.approx(0.8, abs=0.1)
    assert np.mean(shares[half:]) == pytest.approx(0.4, abs=0.1)


def test_source_and_target_are_moved_alike_and_within_the_bound(monkeypatch):
    tune = a_corpus(1)[0].reshape(-1, 176)
    shifts = set()
    for source, target, _, _ in batches(a_training(songs=1, transpose=2, forcing_decay="constant"), monkeypatch):
        for window in torch.cat([source, target], 1).numpy():
            known = [
                shift
                for shift in range(-2, 3)
                for moved in [np.roll(tune, 2 * shift, axis=1)]
                for begin in range(len(tune) - 8 + 1)
                if (window[8:] == moved[begin : begin + 8]).all()
                and (window[max(0, 8 - begin) : 8] == moved[max(0, begin - 8) : begin]).all()
            ]
            assert known
            shifts.update(known)
    assert shifts == {-2, -1, 0, 1, 2}


def test_dropout_leaves_out_its_share(monkeypatch):
    *_, dropout = batches(a_training(), monkeypatch)[0]
    for factors in (*dropout.encoder, *dropout.decoder, dropout.dense):
        assert (factors == 0).float().mean().item() == pytest.approx(0.1, abs=0.05)


def gradient(run, index):
    run._learn(np.array(index), 1.0)
    return torch.cat([weights.grad.flatten() for weights in run.model.parameters()])


def test_the_gradient_is_of_a_mean_and_not_of_a_sum():  # DESIGN 8.8
    plain = {"transpose": 0, "clip": 1e9}
    once, twice = a_training(**plain), a_training(**plain)
    for run in (once, twice):
        run.model.dropout = run.model.dense_dropout = 0.0
    torch.testing.assert_close(gradient(once, [0, 1]), gradient(twice, [0, 1, 0, 1]), atol=1e-6, rtol=1e-4)


def test_the_gradient_is_clipped():
    assert gradient(a_training(clip=1e9), [0, 1]).norm() > 0.02
    assert gradient(a_training(clip=0.01), [0, 1]).norm().item() == pytest.approx(0.01, rel=1e-3)


def test_the_learning_rate_rises_then_falls():
    run = a_training(epochs=10, warmup=4, learning_rate=0.01, teacher_forcing=1.0, valid=False)
    rates = []
    for _ in run.run(never):
        rates.append(run.optimizer.param_groups[0]["lr"])
    top = int(np.argmax(rates))
    assert rates[0] < rates[top] == pytest.approx(0.01, rel=0.01)
    assert top <= 4
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert rates[-1] < 1e-4


def test_bf16_learns_what_fp32_learns():
    skip_without_bf16()
    exact, coarse = a_training(epochs=6), a_training(epochs=6, precision="bf16")
    losses = [[epoch.train.loss for epoch in epochs_of(run)] for run in (exact, coarse)]
    assert losses[0] != losses[1]
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.1)
    assert all(weights.dtype == torch.float32 for weights in coarse.model.parameters())


@pytest.mark.parametrize("loss", ["bce", "focal"])
def test_the_fitted_threshold_makes_music_as_dense_as_the_corpus(loss):
    run = a_training(loss, epochs=4, learning_rate=1e-2)
    epochs_of(run)
    value = run.fit_threshold(songs=4, steps=48)
    run.model.load_state_dict(run.best_weights)
    for limit, compare in ((value - 0.01, 1.0), (value + 0.01, -1.0)):
        coins = [torch.Generator().manual_seed(i) for i in range(4)]
        draw = drawer(run.loss, coins, threshold=limit, temperature=TOSSED)
        made = generate(run.model, torch.zeros(4, 0, 176), 48, 8, 8, draw)
        assert compare * (made.float().mean().item() - run.density) > 0


def test_a_device_is_seldom_asked_while_a_threshold_is_fitted(monkeypatch):  # at each step a GPU would wait for us
    run = a_training("bce", epochs=2)
    epochs_of(run)
    asked, values = [], []

    def counted(ask):
        return lambda tensor: asked.append(tensor) or ask(tensor)

    for name in ("item", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, counted(getattr(torch.Tensor, name)))
    for often in (1, 16, 1000):
        asked.clear()
        monkeypatch.setattr("musicgen_cli.sampling.ASKED", often)
        values.append(run.fit_threshold(songs=4, steps=50))
        assert len(asked) <= BISECTIONS * (50 // often + 4)
    assert len(set(values)) == 1
    assert values[0] != 0.5


def test_before_an_epoch_is_done_the_weights_kept_are_the_last():
    first = a_training()
    list(first.run(lambda: first.step >= 2))
    second = a_training()
    second.restore(first.state(), {name: value.clone() for name, value in first.model.state_dict().items()})
    assert not second.best_weights


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    same, other = a_training(), a_training(seed=6)
    assert_same(outcome(same, epochs_of(same)), of_one_never_stopped())
    epochs_of(other)
    assert not torch.equal(same.model.head.weight, other.model.head.weight)


def test_the_best_epoch_is_kept_and_patience_ends_the_rest():  # DESIGN 8.7
    run = a_training(epochs=60, patience=2, learning_rate=0.05)
    epochs = epochs_of(run)
    losses = [epoch.valid.loss for epoch in epochs]
    assert len(epochs) < 60
    assert run.best_epoch == 1 + int(np.argmin(losses)) == len(epochs) - 2
    run.model.load_state_dict(run.best_weights)
    assert evaluate(run.model, run.loss, run.valid, CPU).loss == pytest.approx(min(losses), rel=1e-6)


def test_an_epochs_scores_are_over_all_its_batches():  # DESIGN 8.7: the reference's came from the last one
    run = a_training(epochs=1)
    (epoch,) = epochs_of(run)
    assert epoch.train.steps == len(run.train) * 8
    assert epoch.valid.steps == 32


def test_without_validation_songs_the_training_loss_decides():
    run = a_training(valid=False)
    epochs = epochs_of(run)
    assert run.best == min(epoch.train.loss for epoch in epochs)
    assert all(epoch.valid is None for epoch in epochs)


@pytest.mark.parametrize("decay", DECAYS)
def test_forcing_falls_with_the_epochs(decay):
    shares = [DECAYS[decay](done) for done in (0, 0.5, 1)]
    assert shares == {"constant": [1, 1, 1], "linear": [1, 0.5, 0], "quadratic": [1, 0.25, 0]}[decay]


def test_a_divergent_training_says_so_and_keeps_its_best_weights():
    run = a_training()
    events = run.run(never)
    while not run.best_weights:
        next(events)
    with torch.no_grad():
        run.model.head.bias.fill_(float("inf"))
    with pytest.raises(MusicgenError, match="learning-rate"):
        list(events)
    assert all(torch.isfinite(weights).all() for weights in run.best_weights.values())


def test_a_batch_whose_loss_is_not_finite_is_skipped_and_counted(monkeypatch):
    def break_some(model, loss, source, target, forced=None, dropout=None):
        answer = teach(model, loss, source, target, forced, dropout)
        return answer * torch.nan if dropout is not None and run.step in (2, 3, 7) else answer

    monkeypatch.setattr("musicgen_cli.training.teach", break_some)
    run = a_training()
    epochs_of(run)
    assert (run.skipped, run.failing) == (3, 0)
    assert run.finished
    assert all(torch.isfinite(weights).all() for weights in run.model.state_dict().values())
    again = a_training()
    again.restore(run.state() | {"skipped": [3, 2]}, run.best_weights)
    assert (again.skipped, again.failing) == (3, 2)


def test_an_epoch_without_a_finite_loss_leaves_its_row_of_the_log_empty(monkeypatch, tmp_path):
    """It was taken for one of words, and then the log could not be written."""

    def break_the_first_epoch(model, loss, source, target, forced=None, dropout=None):
        answer = teach(model, loss, source, target, forced, dropout)
        return answer * torch.nan if dropout is not None and run.step < run.batches else answer

    monkeypatch.setattr("musicgen_cli.training.teach", break_the_first_epoch)
    run = a_training()
    history = [row(epoch, run.of_words) for epoch in epochs_of(run)]
    assert run.skipped == run.batches
    write_log(tmp_path / "log.csv", history)
    first, *others = csv.DictReader((tmp_path / "log.csv").read_text().splitlines())
    told = {"loss", "recall", "precision", "f1", "density", "corpus_density"}
    names = {f"{side}_{name}" for side in ("train", "valid") for name in told}
    assert names < {name for name in others[0] if others[0][name]}
    assert {name for name in names if not first[name]} == {f"train_{name}" for name in told}
    rows = [{"epoch": 1, "a": 1.0}, {"epoch": 2, "b": 2.0}]
    write_log(tmp_path / "log.csv", rows)
    assert (tmp_path / "log.csv").read_text() == "epoch,a,b\n1,1.0,\n2,,2.0\n"


def test_ten_batches_in_a_row_that_are_not_finite_end_a_training(monkeypatch):
    def break_first(model, loss, source, target, forced=None, dropout=None):
        answer = teach(model, loss, source, target, forced, dropout)
        return answer * torch.nan if dropout is not None and run.step < broken else answer

    monkeypatch.setattr("musicgen_cli.training.teach", break_first)
    broken, run = 9, a_training()
    epochs_of(run)
    assert (run.skipped, run.finished) == (9, True)
    broken, run = 10, a_training()
    with pytest.raises(MusicgenError, match="learning-rate"):
        epochs_of(run)


MELODY = [note for note in TUNE if note[2] > 50]  # what can be played one key at a time


def overfitted(model, loss, steps, *, forcing, prime, rates, outputs, ids=False, epochs=60, **more):
    """A small model of this name, trained on one song until it knows it by heart."""
    torch.manual_seed(0)
    sizes = {"hidden": 64, "dense": 64, "layers": 1, "dropout": 0.0, "dense_dropout": 0.0}
    network = MODELS[model].network(len(rates), outputs, ids, **sizes, **more)
    written = len(steps.music) - prime
    heard = {"recalled": recalled(steps, [0], network.hearing)}
    windows = inside(steps, [0], prime, written, 8, hearing=network.hearing, **heard)
    run = Training(
        network, loss, windows, None, rates, device=CPU, epochs=epochs, batch_size=4,
        optimizer="adamw", learning_rate=2e-2, warmup=10, weight_decay=0.0, clip=1.0, teacher_forcing=forcing,
        forcing_decay="constant", transpose=0, patience=0, seed=0, precision="fp32",
    )  # fmt: skip
    epochs_of(run)
    made = generate(network, as_input(to_steps(steps[0][:prime]))[None], written, prime, written, drawer(loss))
    return made[0]


BY_CHORDS = ("next", 1), ("next", 2), ("seq2seq", 2)
BY_BITS = ("poly", "bce"), ("seq2seq", "bce")
BY_WORDS = [(model, plain) for model in ("text", "next", "seq2seq", "poly") for plain in (False, True)][1:-1]


@pytest.mark.parametrize(
    ("model", "bits"), [("poly", 2), *(pytest.param(*case, marks=pytest.mark.slow) for case in BY_CHORDS)]
)
def test_a_short_tune_is_learned_and_played_back_chord_by_chord(model, bits):
    music = corpus.gather([(Song(), roll.encode(Score(np.array(TUNE), 4), bits))])
    more = {"chords": True, "memory": bits == 2, "tonality": True}
    settings = {"forcing": 1.0, "prime": 3, "rates": rates(music, [0]), "outputs": 88 * bits + 1}
    made = overfitted(model, Chord(), music, epochs=45, **settings, **more)
    assert (unflat(made.numpy()) == music[0][3:]).all()


@pytest.mark.parametrize(
    ("model", "loss"),
    [("poly", "focal"), ("next", "bce"), *(pytest.param(*case, marks=pytest.mark.slow) for case in BY_BITS)],
)
def test_a_short_tune_is_learned_and_played_back(model, loss):
    music = a_corpus(1)
    often = rates(music, [0])
    made = overfitted(model, LOSSES["roll"][loss](), music, forcing=0.9, prime=8, rates=often, outputs=len(often))
    assert (unflat(made.numpy()) == music[0][8:]).all()


@pytest.mark.parametrize("model", ["next", "seq2seq", "poly"])
def test_a_short_melody_is_learned_and_played_back_key_by_key(model):
    melody = corpus.gather([(Song(), roll.encode(Score(np.array(MELODY), 4)))])
    material = of_rolls(melody, [0])
    loss = KeyCrossEntropy(**material.loss)
    made = overfitted(model, loss, melody, forcing=1.0, prime=8, rates=material.rates, outputs=loss.outputs(176))
    assert (unflat(made.numpy()) == melody[0][8:]).all()


@pytest.mark.parametrize(
    ("model", "plain"),
    [("text", False), ("poly", True), *(pytest.param(*case, marks=pytest.mark.slow) for case in BY_WORDS)],
)
def test_a_short_tune_is_learned_and_played_back_word_by_word(model, plain):
    tune = corpus.gather([(Song(), words.encode(Score(np.array(TUNE), 4), plain))])
    material = of_words(tune, [0], furthest=0)
    made = overfitted(
        model, WordCrossEntropy(**material.loss), material.steps, forcing=1.0, prime=3, rates=material.rates,
        outputs=material.size, ids=True,
    )  # fmt: skip
    assert material.vocabulary.words[made].tolist() == tune[0][3:].tolist()


# -- words


def a_training_of_words(furthest=2, **changes):
    tunes = [words.encode(Score(np.array(TUNE) + np.array([0, 0, up]), 4)) for up in (0, 1, 7)]
    music = corpus.gather([(Song(str(i)), tune) for i, tune in enumerate(tunes)])
    material = of_words(music, [0, 1], furthest)
    torch.manual_seed(0)
    model = MODELS["text"].network(material.size, material.size, True, **SIZES)
    settings = {
        "epochs": 3, "batch_size": 3, "optimizer": "rmsprop", "learning_rate": 3e-3, "warmup": 2, "weight_decay": 0.0,
        "clip": 1.0, "teacher_forcing": 0.8, "forcing_decay": "constant", "transpose": furthest, "patience": 0,
        "seed": 5, "precision": "fp32",
    }  # fmt: skip
    windows, valid = inside(material.steps, [0, 1], 3, 3, 1), cover(material.steps, [2], 3, 3)
    loss = WordCrossEntropy(**material.loss)
    run = Training(
        model, loss, windows, valid, material.rates, device=CPU, move=material.move, **{**settings, **changes}
    )
    return run, material


def test_a_training_of_words_resumed_equals_one_never_stopped():
    whole, _ = a_training_of_words()
    expected = outcome(whole, epochs_of(whole))
    first, _ = a_training_of_words()
    begun = epochs_of(first, lambda: first.step >= 4)
    second, _ = a_training_of_words()
    second.restore(first.state(), {name: value.clone() for name, value in first.best_weights.items()})
    assert_same(outcome(second, begun + epochs_of(second)), expected)


def test_words_are_moved_as_their_notes_are(monkeypatch):
    run, material = a_training_of_words(transpose=2)
    known = material.vocabulary.words
    tune = words.encode(Score(np.array(TUNE), 4))
    moved = {tuple(words.transpose(tune, up).tolist()) for up in range(-2, 4)}  # two songs, a key apart
    heard = set()
    for source, target, _, _ in batches(run, monkeypatch):
        for window in torch.cat([source, target], 1).numpy():
            spelt = tuple(known[window][window > START].tolist())
            assert any(spelt == song[i : i + len(spelt)] for song in moved for i in range(len(song)))
            heard.add(spelt)
    assert len(heard) > len(tune) * 3
    assert not any("<unknown>" in window for window in heard)


def test_the_scores_of_words_count_words():
    run, _ = a_training_of_words(epochs=1)
    (epoch,) = epochs_of(run)
    assert run.of_words
    assert epoch.train.counts.bits == epoch.train.steps
    assert epoch.train.steps == epoch.train.counts.actual == len(run.train) * 3
    assert epoch.train.counts.recall == epoch.train.counts.precision


def test_a_threshold_is_fitted_to_bits_alone():
    run, _ = a_training_of_words(epochs=1)
    assert run.fit_threshold() == 0.5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_learns_at_the_decay_that_train_has(optimizer):
    """RMSprop with decay added to the gradient, as torch would, draws the weights to nothing."""
    decay = inspect.signature(train).parameters["weight_decay"].default
    settings = {"learning_rate": 0.02, "weight_decay": decay, "teacher_forcing": 1.0, "furthest": 0}
    run, _ = a_training_of_words(optimizer=optimizer, epochs=20, batch_size=9, **settings)
    losses = [epoch.train.loss for epoch in epochs_of(run)]
    assert losses[-1] < 0.6 * losses[0]
