import pytest
import torch

from musicgen_cli.losses import BinaryCrossEntropy, KeyCrossEntropy, WordCrossEntropy
from musicgen_cli.models import MODELS, unroll
from musicgen_cli.sampling import drawer
from musicgen_cli.training import teach

SIZE = 176
LOSSES = {"bits": BinaryCrossEntropy(), "one key": KeyCrossEntropy(4.0), "words": WordCrossEntropy(0.1)}


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


@pytest.fixture
def model(name, loss):
    torch.manual_seed(0)
    ids = isinstance(loss, WordCrossEntropy)
    return MODELS[name].network(SIZE, loss.outputs(SIZE), ids, hidden=12, layers=3, dense=10)


@pytest.fixture
def steps(loss):
    generator = torch.Generator().manual_seed(1)
    if isinstance(loss, WordCrossEntropy):
        return tuple(torch.randint(2, SIZE, (4, length), generator=generator) for length in (5, 9))
    return tuple(torch.rand(4, length, SIZE, generator=generator).round() for length in (5, 9))


def by_loop(model, loss, source, target, forced, dropout):
    """Teacher forcing as one would write it, with gradients through every step."""
    state, draw = model.encode(source, dropout), drawer(loss)
    step, logits = source[:, -1], []
    for t in range(target.shape[1]):
        features, state = model.advance(step, state, dropout and dropout.at(t))
        logits.append(model.head(features))
        own, _ = draw(logits[-1].detach(), step)
        step = torch.stack([target[song, t] if forced[song, t] else own[song] for song in range(len(own))])
    return torch.stack(logits, 1)


def gradients(model, loss, logits, target):
    model.zero_grad()
    loss(logits, target).mean().backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dropping", [False, True])
def test_two_passes_are_the_step_by_step_loop(model, loss, steps, share, dropping):
    source, target = steps
    generator = torch.Generator().manual_seed(2)
    forced = torch.rand(target.shape[:2], generator=generator) < share
    dropout = model.draw_dropout(4, 5, 9, generator) if dropping else None
    fast = teach(model, loss, source, target, forced, dropout)
    slow = by_loop(model, loss, source, target, forced, dropout)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)
    for one, other in zip(gradients(model, loss, fast, target), gradients(model, loss, slow, target)):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_full_forcing_is_one_pass_over_the_target(model, loss, steps):
    source, target = steps
    everything = torch.ones(target.shape[:2], dtype=torch.bool)
    torch.testing.assert_close(teach(model, loss, source, target), teach(model, loss, source, target, everything))


def test_forced_and_free_steps_predict_the_same_offset_and_the_first_step_is_computed(model, loss, steps):  # DESIGN 8.2
    source, target = steps
    state, draw = model.encode(source), drawer(loss)
    features, own = unroll(model, source[:, -1], state, 9, lambda t, found, before: draw(model.head(found), before)[0])
    never = torch.zeros(target.shape[:2], dtype=torch.bool)
    torch.testing.assert_close(teach(model, loss, source, target, never), model.head(features))
    torch.testing.assert_close(teach(model, loss, source, own), model.head(features))
    torch.testing.assert_close(features[:, 0], model.advance(source[:, -1], state)[0])


def test_the_decoder_never_hears_the_step_it_has_to_predict(model, loss, steps):  # DESIGN 8.5
    source, target = steps
    changed = target.clone()
    changed[:, 6:] = changed[:, 6:].flip(0)
    same = teach(model, loss, source, target) == teach(model, loss, source, changed)
    assert same[:, :7].all()
    assert not same[:, 7:].all()


def test_unroll_feeds_what_was_chosen_and_not_zeros(model, loss, steps):  # DESIGN 8.1
    source, target = steps
    heard = []
    original = model.advance
    model.advance = lambda step, *rest: (heard.append(step), original(step, *rest))[1]
    unroll(model, source[:, -1], model.encode(source), 9, lambda t, features, before: target[:, t])
    torch.testing.assert_close(torch.stack(heard, 1), torch.cat([source[:, -1:], target[:, :-1]], 1))


def test_a_model_begins_with_the_logits_it_is_told_to_expect(model, loss):
    model.expect(torch.full((loss.outputs(SIZE),), -3.0))
    assert (model.head.bias == -3).all()


def test_dropout_keeps_the_mean(model):
    dropout = model.draw_dropout(20, 30, 40, torch.Generator().manual_seed(0))
    read = 30 if model.reads_apart else 29  # its last step is the first that the decoder hears
    for factors, length in zip([*dropout.encoder, *dropout.decoder, dropout.dense], [read, read, 40, 40, 40]):
        assert factors.shape[:2] == (20, length)
        assert factors.mean().item() == pytest.approx(1, abs=0.05)


def test_sequence_to_one_names_the_step_after_a_window(name, loss):
    """With a target of one step, a model reads its source and names one step: the second experiment, literally."""
    torch.manual_seed(0)
    model = MODELS[name].network(SIZE, loss.outputs(SIZE), isinstance(loss, WordCrossEntropy), hidden=12, dense=10)
    generator = torch.Generator().manual_seed(3)
    source = torch.rand(2, 20, SIZE, generator=generator).round()
    if isinstance(loss, WordCrossEntropy):
        source = torch.randint(2, SIZE, (2, 20), generator=generator)
    logits = teach(model, loss, source, source[:, :1])
    if not model.reads_apart:  # then the same network, run over the source, names it at the end
        run, _ = model.decoder.run(model.embed(source), model.decoder.start(model.embed(source)), None)
        torch.testing.assert_close(logits[:, 0], model.head(model.dense(run[:, -1]).relu()))
    other = source.clone()
    other[:, 0] = other[:, 0].flip(0)
    assert not torch.equal(teach(model, loss, other, source[:, :1]), logits)  # the first step is remembered


def test_a_source_of_one_step_is_enough(model, loss, steps):
    source, target = steps
    assert teach(model, loss, source[:, :1], target).shape == (4, 9, loss.outputs(SIZE))
