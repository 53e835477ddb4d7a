"""Chords spelled note by note: an exact likelihood, drawn from as it says, with given notes among them."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musicgen_cli import corpus, harmony, roll
from musicgen_cli.corpus import Song
from musicgen_cli.dataset import cover, recalled, to_steps
from musicgen_cli.hearing import Hearing
from musicgen_cli.losses import BinaryCrossEntropy, Chord, Focal
from musicgen_cli.models import MODELS
from musicgen_cli.models.chord import ChordHead, Chords, Given, as_read, spell, tempered
from musicgen_cli.sampling import best, drawer, generate, picker
from musicgen_cli.training import teach

CPU = torch.device("cpu")


def a_head(size, bits, memory=False, seed=0):
    """A head over a small keyboard, with opinions, and features for it."""
    torch.manual_seed(seed)
    head = ChordHead(Hearing(size, memory), bits, 7, 6)
    for table in head.parameters():
        torch.nn.init.normal_(table, std=0.7)
    head.above.weight.data[size] = 0
    return head.eval()


def features(head, count, heard=None, seed=1):
    noise = torch.Generator().manual_seed(seed)
    if heard is None:
        heard = torch.rand(count, head.hearing.width, generator=noise).round()
    return torch.cat([torch.randn(count, 7, generator=noise), heard.expand(count, -1)], 1)


def all_steps(size):
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=size)))


def test_the_probabilities_of_all_subsets_of_a_keyboard_sum_to_one():
    head = a_head(6, 1, memory=True)
    answer = head(features(head, 1).expand(64, -1))
    torch.testing.assert_close((-answer.nats(all_steps(6))).exp().sum(), torch.tensor(1.0))


def test_of_two_bits_the_probabilities_of_all_steps_that_can_be_played_sum_to_one():
    head = a_head(6, 2)
    before = torch.tensor([[1.0, 0, 0, 1, 0, 0]])  # the third key is silent: it can only start
    steps = all_steps(6)
    steps = steps[(as_read(steps, before.expand(64, -1)) == steps.bool()).all(1)]
    assert len(steps) == 3 * 3 * 2
    answer = head(features(head, 1, before).expand(len(steps), -1))
    torch.testing.assert_close((-answer.nats(steps)).exp().sum(), torch.tensor(1.0))


def test_a_step_that_is_read_as_another_is_as_likely():
    head = a_head(6, 2)
    before = torch.tensor([[1.0, 0, 0, 1, 0, 0]])
    answer = head(features(head, 1, before).expand(64, -1))
    steps = all_steps(6)
    torch.testing.assert_close(answer.nats(steps), answer.nats(as_read(steps, before.expand(64, -1)).float()))


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.sampled_from([(5, 1), (6, 2)]))
def test_nats_are_those_of_the_choices_one_by_one(seed, shape):
    size, bits = shape
    head = a_head(size, bits, seed=seed)
    heard = features(head, 4, seed=seed)
    before = heard[:, -size:] > 0
    steps = torch.rand(4, size, generator=torch.Generator().manual_seed(seed)).round()
    if bits == 2:
        steps = as_read(steps, before).float()
    fast = head(heard).nats(steps)
    with torch.no_grad():
        around = head.surroundings(heard[:, -size:])
    for song in range(4):
        row = heard[song]
        hidden, direct = head.hidden(row), head.direct(row)
        above, last, nats = torch.zeros(6), size, 0.0
        for choice in [*steps[song].nonzero()[:, 0].flip(0).tolist(), size]:
            mixed = (hidden + above + head.last.weight[last]).tanh()
            scores = head.out(mixed) + direct + head.after.weight[last]
            likes = head.interval(mixed)
            for key in range(size):
                scores[key] += head.weigh(mixed) @ around[song, :, key]
                if last < size and key // bits <= last // bits:
                    scores[key] += likes[(last // bits - key // bits) * bits + key % bits]
            able = [key // bits < last // bits for key in range(size)] + [True]
            if bits == 2:
                for key in range(1, size, 2):
                    able[key] &= bool(before[song, key - 1 : key + 1].any())
            able[:size] = [
                able[key] or (last == size and (key % bits == 0 or bool(before[song, key - 1 : key + 1].any())))
                for key in range(size)
            ]
            scores[~torch.tensor(able)] = -torch.inf
            nats -= float(scores.log_softmax(0)[choice].detach())
            last, above = choice, above + (head.above.weight[choice] if choice < size else 0)
        assert fast[song].item() == pytest.approx(nats, abs=1e-4)


def test_chords_are_drawn_as_often_as_they_are_likely():
    head = a_head(4, 1)
    row = features(head, 1)
    count = 20_000
    coins = [torch.Generator().manual_seed(i) for i in range(count)]
    drawn, _ = head(row.expand(count, -1)).draw(picker(coins, 1.0))
    found = torch.bincount((drawn @ torch.tensor([8.0, 4, 2, 1])).long(), minlength=16) / count
    expected = (-head(row.expand(16, -1)).nats(all_steps(4))).exp()
    torch.testing.assert_close(found, expected.detach(), atol=0.012, rtol=0)


def test_spelling_goes_from_the_top_down():
    steps = torch.tensor([[1.0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]])
    assert spell(steps).tolist() == [[3, 2, 0, 4], [4, 4, 4, 4], [1, 4, 4, 4]]


def test_temperature_chooses_which_note_begins_and_not_whether_one_does():
    scores = torch.tensor([[0.4, 0.1, 0.2, 0.3]]).log()
    begins = torch.tensor([[True, False, True, False]])
    found = tempered(scores, begins, 0.5).exp()[0]
    expected = torch.tensor([0.6 * 0.16 / 0.20, 0.1, 0.6 * 0.04 / 0.20, 0.3])
    torch.testing.assert_close(found, expected)
    none = scores.masked_fill(begins, -torch.inf)
    assert torch.equal(tempered(none, begins, 0.5), none)


@pytest.mark.parametrize(("size", "bits"), [(4, 1), (8, 2)])
def test_what_sounds_already_does_not_begin(size, bits):
    head = a_head(size, bits)
    before = torch.zeros(1, size)
    before[0, bits] = 1  # the second key
    begins = head.begins(before)[0].tolist()
    assert begins == ([True, False, True, True, False] if bits == 1 else [True, False] * 4 + [False])


# -- whole models


def a_model(name="next", **more):
    torch.manual_seed(2)
    model = MODELS[name].network(176, 177, hidden=16, dense=12, layers=1, chords=True, **more)
    for table in model.head.parameters():
        torch.nn.init.normal_(table, std=0.2)
    model.head.above.weight.data[176] = 0
    with torch.no_grad():
        model.head.bias[176] += 3  # chords of a few notes
    return model.eval()


def songs(*lengths, seed=0, loop=7):
    """Random music that repeats itself, so that memory has something to say."""
    rng = np.random.default_rng(seed)
    made = []
    for length in lengths:
        notes = rng.random((loop, 88)) < 0.03
        sounds = notes[np.arange(length) % loop] ^ (rng.random((length, 88)) < 0.001)
        made.append(harmony.tidy(np.stack([np.zeros_like(sounds), sounds], 2)))
    return corpus.gather([(Song(str(i)), music) for i, music in enumerate(made)])


def nats_of(model, music, which, batches, target=10_000):
    """Nats of each step of songs, read from their beginning in these batches."""
    windows = cover(music, which, 0, target, hearing=model.hearing, recalled=recalled(music, which, model.hearing))
    found = {}
    with torch.no_grad():
        for batch in batches:
            source, heard, real = windows.batch(np.array(batch), CPU)
            said = Chord()(teach(model, Chord(), source, heard), model.hearing.bits(heard))
            found |= {i: row[there] for i, row, there in zip(batch, said, real)}
    return [found[i] for i in range(len(windows))]


ALL = {"memory": True, "tonality": True, "shifts": 3}


@pytest.mark.parametrize("more", [{}, ALL], ids=["plain", "all"])
def test_likelihoods_hang_neither_on_the_batch_nor_on_padding(more):
    music, model = songs(40, 9, 23), a_model(**more)
    together = nats_of(model, music, [0, 1, 2], [[0, 1, 2]])
    for one, other in zip(together, nats_of(model, music, [0, 1, 2], [[2], [1, 0]])):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def test_likelihoods_do_not_hang_on_how_many_steps_are_spelled_at_once(monkeypatch):
    music, model = songs(40, 9), a_model(**ALL)
    whole = nats_of(model, music, [0, 1], [[0, 1]])
    monkeypatch.setattr("musicgen_cli.models.chord.CHUNK", 7)
    for one, other in zip(whole, nats_of(model, music, [0, 1], [[0, 1]])):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@settings(max_examples=10)
@given(st.integers(1, 38), st.integers(0, 100))
def test_editing_the_future_changes_no_earlier_likelihood_by_a_bit(at, seed):
    model = a_model(**ALL)
    music = songs(40, seed=seed)
    edited = songs(40, seed=seed)
    rng = np.random.default_rng(seed)
    edited.music[at:] = rng.permutation(edited.music[at:], axis=1)  # the same number of notes
    (one,), (other,) = (nats_of(model, each, [0], [[0]]) for each in (music, edited))
    assert torch.equal(one[:at], other[:at])
    assert not torch.equal(one[at:], other[at:])


@pytest.mark.parametrize("name", ["next", "seq2seq", "poly"])
@pytest.mark.parametrize(("source", "prime"), [(0, 0), (5, 0), (0, 9)])
def test_what_is_heard_in_sampling_is_what_is_heard_in_training(name, source, prime):
    """A song that was drawn, after a prime or from nothing, has the likelihood of the choices that it was drawn by."""
    model = a_model(name, **ALL)
    coins = [torch.Generator().manual_seed(i) for i in range(2)]
    said, draw = [], drawer(Chord(), coins, temperature=1.0)

    def listen(answer, before, given):
        step, likely = draw(answer, before, given)
        said.append(answer.nats(step))
        return step, likely

    begun = torch.stack([to_steps(songs(prime, seed=seed)[0]).float() for seed in range(2)])
    made = torch.cat([begun.byte(), generate(model, begun, 21, source, 6, listen)], 1)
    music = corpus.gather([(Song(), song.numpy().astype(bool).reshape(-1, 88, 2)) for song in made])
    windows = cover(music, [0, 1], source, 6, hearing=model.hearing, recalled=recalled(music, [0, 1], model.hearing))
    with torch.no_grad():
        heard, target, real = windows.batch(np.arange(len(windows)), CPU)
        nats = Chord()(teach(model, Chord(), heard, target), model.hearing.bits(target))[real].view(2, -1)
    torch.testing.assert_close(nats[:, prime:], torch.stack(said, 1), atol=1e-4, rtol=1e-4)


def test_the_likeliest_step_is_the_one_at_temperature_0():
    model = a_model()
    answer = model.head(torch.randn(3, 2, 16 + 176, generator=torch.Generator().manual_seed(0)))
    steps = best(Chord(), answer)
    assert steps.shape == (3, 2, 176)
    flat = answer.flat()
    for i in range(6):
        one = Chords(flat.head, *(part[i : i + 1] for part in (flat.hidden, flat.direct, flat.heard)))
        assert torch.equal(drawer(Chord())(one, None)[0][0], steps.view(6, 176)[i])


# -- given notes


def some_notes(seed, length=16, rests=True):
    """A line of notes, some of them held, with rests and repetitions."""
    rng = np.random.default_rng(seed)
    line = np.zeros((length, 88, 2), bool)
    at = 0
    while at < length:
        lasts, key = int(rng.integers(1, 5)), int(rng.integers(30, 60))
        if not rests or rng.random() < 0.8:
            line[at, key, 0] = True
            line[at + 1 : at + lasts, key, 1] = True
        at += lasts
    return line


def harmonised(line, on_top, seed=0, bits=2, loss=None):
    loss = loss or Chord()
    model = a_model() if bits == 2 else one_bit_model()
    if not isinstance(loss, Chord):
        model = MODELS["poly"].network(176, 176, hidden=8, dense=8)
    kept = harmony.top_line(line) if on_top else harmony.tidy(line)
    masks = [torch.from_numpy(part.reshape(1, len(line), -1)) for part in (kept, harmony.room(kept, on_top))]
    coins = [torch.Generator().manual_seed(seed + i) for i in range(3)]
    draw = drawer(loss, coins, temperature=1.0)
    made = generate(model, torch.zeros(3, 0, 88 * bits), len(line), 0, 8, draw, given=Given(*masks))
    return kept, [song.numpy().astype(bool).reshape(kept.shape) for song in made]


def one_bit_model():
    torch.manual_seed(2)
    model = MODELS["next"].network(88, 89, hidden=16, dense=12, layers=1, chords=True).eval()
    with torch.no_grad():
        model.head.bias[88] += 2
    return model


@settings(max_examples=8)
@given(st.integers(0, 10_000))
def test_a_given_melody_comes_out_note_for_note_as_the_top_line(seed):
    line = some_notes(seed, rests=False)
    kept, made = harmonised(line, True, seed)
    for song in made:
        assert (harmony.top_line(song) == kept).all()
        assert (song & ~kept).any()


@pytest.mark.slow
@settings(max_examples=12)
@given(st.integers(0, 10_000), st.sampled_from([(1, Chord()), (2, Chord()), (2, BinaryCrossEntropy()), (2, Focal())]))
def test_kept_notes_begin_and_end_when_they_did(seed, form):
    bits, loss = form
    line = some_notes(seed)
    line = line if bits == 2 else roll.sounding(line)
    kept, made = harmonised(line, False, seed, bits, loss)
    given_notes = {tuple(note) for note in roll.decode(kept, 4).notes.tolist()}
    for song in made:
        assert given_notes <= {tuple(note) for note in roll.decode(song, 4).notes.tolist()}


def test_while_the_tune_rests_nothing_sounds_as_high_as_its_last_note():
    line = np.zeros((12, 88, 2), bool)
    line[2, 50, 0] = line[6, 40, 0] = True
    kept, made = harmonised(line, True)
    for song in made:
        sounds = roll.sounding(song) & ~roll.sounding(kept)
        assert not sounds[:2].any()  # it has not begun
        assert not sounds[:6, 50:].any()
        assert not sounds[6:, 40:].any()


def test_the_top_line_takes_the_highest_note_and_what_is_left_below_it():
    music = np.zeros((4, 88, 2), bool)
    music[0, 50, 0] = True  # a note of one step over one of three
    music[0, 40, 0] = music[1, 40, 1] = music[2, 40, 1] = True
    top = harmony.top_line(music)
    assert np.argwhere(top).tolist() == [[0, 50, 0], [1, 40, 0], [2, 40, 1]]
