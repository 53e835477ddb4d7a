import pytest
import torch

from musicgen_cli.losses import BinaryCrossEntropy
from musicgen_cli.models import MODELS, unroll
from musicgen_cli.sampling import drawer
from musicgen_cli.training import teach

SIZE = 176
BITS = BinaryCrossEntropy()
DRAW = drawer(BITS)


def build(name):
    torch.manual_seed(0)
    return MODELS[name].network(SIZE, SIZE, hidden=12, layers=3, dense=10)


@pytest.fixture(params=MODELS)
def model(request):
    return build(request.param)


@pytest.fixture
def steps():
    generator = torch.Generator().manual_seed(1)
    source, target = (torch.rand(4, length, SIZE, generator=generator).round() for length in (5, 9))
    return source, target


def by_loop(model, source, target, forced, dropout):
    """Teacher forcing as one would write it, with gradients through every step."""
    state = model.encode(source, dropout)
    step, logits = source[:, -1], []
    for t in range(target.shape[1]):
        features, state = model.advance(step, state, dropout and dropout.at(t))
        logits.append(model.head(features))
        own = DRAW(logits[-1].detach(), step)
        step = torch.where(forced[:, t, None], target[:, t], own)
    return torch.stack(logits, 1)


def gradients(model, logits, target):
    model.zero_grad()
    torch.nn.functional.binary_cross_entropy_with_logits(logits, target).backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dropping", [False, True])
def test_two_passes_are_the_step_by_step_loop(model, steps, share, dropping):
    source, target = steps
    generator = torch.Generator().manual_seed(2)
    forced = torch.rand(target.shape[:2], generator=generator) < share
    dropout = model.draw_dropout(4, 5, 9, generator) if dropping else None
    fast, slow = teach(model, BITS, source, target, forced, dropout), by_loop(model, source, target, forced, dropout)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)
    for one, other in zip(gradients(model, fast, target), gradients(model, slow, target)):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_full_forcing_is_one_pass_over_the_target(model, steps):
    source, target = steps
    everything = torch.ones(target.shape[:2], dtype=torch.bool)
    torch.testing.assert_close(teach(model, BITS, source, target), teach(model, BITS, source, target, everything))


def test_forced_and_free_steps_predict_the_same_offset_and_the_first_step_is_computed(model, steps):  # DESIGN 8.2
    source, target = steps
    state = model.encode(source)
    features, own = unroll(model, source[:, -1], state, 9, lambda t, found, before: DRAW(model.head(found), before))
    never = torch.zeros(target.shape[:2], dtype=torch.bool)
    torch.testing.assert_close(teach(model, BITS, source, target, never), model.head(features))
    torch.testing.assert_close(teach(model, BITS, source, own), model.head(features))
    torch.testing.assert_close(features[:, 0], model.advance(source[:, -1], state)[0])


def test_the_decoder_never_hears_the_step_it_has_to_predict(model, steps):  # DESIGN 8.5
    source, target = steps
    changed = target.clone()
    changed[:, 6:] = 1 - changed[:, 6:]
    same = teach(model, BITS, source, target) == teach(model, BITS, source, changed)
    assert same[:, :7].all()
    assert not same[:, 7:].all()


def test_unroll_feeds_what_was_chosen_and_not_zeros(model, steps):  # DESIGN 8.1
    source, target = steps
    heard = []
    original = model.advance
    model.advance = lambda step, *rest: (heard.append(step), original(step, *rest))[1]
    unroll(model, source[:, -1], model.encode(source), 9, lambda t, features, before: target[:, t])
    torch.testing.assert_close(torch.stack(heard, 1), torch.cat([source[:, -1:], target[:, :-1]], 1))


def test_a_model_begins_with_the_logits_it_is_told_to_expect(model):
    model.expect(torch.full((SIZE,), -3.0))
    assert (model.head.bias == -3).all()


def test_dropout_keeps_the_mean(model):
    dropout = model.draw_dropout(20, 30, 40, torch.Generator().manual_seed(0))
    read = 30 if model.reads_apart else 29  # its last step is the first that the decoder hears
    for factors, length in zip([*dropout.encoder, *dropout.decoder, dropout.dense], [read, read, 40, 40, 40]):
        assert factors.shape[:2] == (20, length)
        assert factors.mean().item() == pytest.approx(1, abs=0.05)
