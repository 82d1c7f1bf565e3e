"""Probes against scikit-learn, against the objective in loops, and against what a probe should be able to learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from oracles import utility as oracle
from vestige.utility import LarsConfig, exact_probe, fit_logistic, lars_probe, top_hits
from vestige.utility import logistic as module
from vestige.utility.lars import learning_rate


def data(n=200, d=6, classes=3, seed=0, apart=1.0):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, d, generator=torch.Generator().manual_seed(99))
    labels = torch.randint(classes, (n,), generator=generator)
    return apart * centres[labels] + torch.randn(n, d, generator=generator), labels


@pytest.mark.parametrize("penalty", [1.0, 0.01, 1e-4])
def test_the_fit_is_scikit_learns(penalty):
    features, labels = data()
    found = fit_logistic(features, labels, 3, penalty=penalty, tolerance=1e-10)
    other = LogisticRegression(C=1 / (penalty * len(labels)), tol=1e-10, max_iter=10_000)
    other.fit(features.double().numpy(), labels.numpy())
    assert found.gradient < 1e-7
    assert found.weight.numpy() == pytest.approx(other.coef_, abs=1e-6)
    chances = found.scores(features).softmax(1).numpy()
    assert chances == pytest.approx(other.predict_proba(features.double().numpy()), abs=1e-6)


def test_sets_of_labels_are_a_regression_each():
    features, _ = data()
    sets = torch.stack([features[:, 0] > 0.3, features[:, 1] + features[:, 2] > 1], 1)
    sets[:20] = ~sets[:20]
    found = fit_logistic(features, sets, 2, penalty=0.02, tolerance=1e-10)
    for c in range(2):
        other = LogisticRegression(C=1 / (0.02 * len(sets)), tol=1e-10, max_iter=10_000)
        other.fit(features.double().numpy(), sets[:, c].numpy())
        assert found.weight[c].numpy() == pytest.approx(other.coef_[0], abs=1e-6)
        assert float(found.bias[c]) == pytest.approx(float(other.intercept_[0]), abs=1e-6)


def test_the_objective_and_its_gradients():
    features, labels = data(30)
    weight = torch.randn(3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    bias = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    value, slope, offset = module._objective(features, labels, weight, bias, 0.3)
    assert value == pytest.approx(oracle.objective(features.double(), labels, weight, bias, 0.3), abs=1e-10)
    step = 1e-6
    for gradient, tensor in ((slope, weight), (offset, bias)):
        moved = tensor.clone().view(-1)
        moved[1] += step
        moved = moved.view_as(tensor)
        higher = module._objective(
            features, labels, *((moved, bias) if tensor is weight else (weight, moved)), 0.3
        )[0]  # fmt: skip
        assert float(gradient.view(-1)[1]) == pytest.approx((higher - value) / step, abs=1e-5)


def test_blocks_and_starts_make_no_difference(monkeypatch):
    features, labels = data()
    whole = fit_logistic(features, labels, 3, penalty=0.01, tolerance=1e-10)
    monkeypatch.setattr(module, "CELLS", 60)
    again = fit_logistic(features, labels, 3, penalty=0.01, tolerance=1e-10, start=whole)
    assert again.weight.numpy() == pytest.approx(whole.weight.numpy(), abs=1e-6)
    assert again.scores(features).numpy() == pytest.approx(whole.scores(features).numpy(), abs=1e-5)


def test_the_exact_probe_chooses_its_penalty_on_the_training_part():
    """Few samples in many dimensions: a weak penalty fits the noise, the probe must see that without the test part."""
    features, labels = data(90, d=60, apart=0.3)
    test, truth = data(2000, d=60, apart=0.3, seed=1)
    found = exact_probe(features, labels, test, 3)
    assert found.validation[found.penalty] == max(found.validation.values())
    weak = exact_probe(features, labels, test, 3, penalties=[1e-5])
    chosen, loose = (float(top_hits(own.scores, truth).double().mean()) for own in (found, weak))
    assert chosen > loose + 0.01
    # The test part changes nothing: other test samples, the same penalty, the same scores of the old ones.
    other = exact_probe(features, labels, torch.cat([test[:5], -test]), 3)
    assert (other.penalty, other.validation) == (found.penalty, found.validation)
    assert torch.allclose(other.scores[:5], found.scores[:5])


def test_the_scale_of_features_does_not_matter_and_constants_do_no_harm():
    features, labels = data()
    test, _ = data(50, seed=1)
    plain = exact_probe(features, labels, test, 3, penalties=[0.01]).scores
    scaled = exact_probe(features * 1e-3 + 5, labels, test * 1e-3 + 5, 3, penalties=[0.01]).scores
    assert scaled.numpy() == pytest.approx(plain.numpy(), abs=2e-3)
    constant = [torch.cat([own, torch.full((len(own), 1), 0.1)], 1) for own in (features, test)]
    found = exact_probe(constant[0], labels, constant[1], 3, penalties=[0.01]).scores
    assert found.numpy() == pytest.approx(plain.numpy(), abs=1e-4)


def test_groups_stay_together_in_the_validation(monkeypatch):
    """Copies of a sample on both sides of a validation would praise a probe that fits the noise."""
    from vestige.utility import probe

    seen = []
    original = probe.split_groups
    monkeypatch.setattr(probe, "split_groups", lambda *a, **k: seen.append((a[1], original(*a, **k))) or seen[-1][1])
    features, labels = data(60)
    group = torch.arange(60) // 3
    exact_probe(features, labels, features, 3, group=group)
    ((given, held),) = seen
    assert torch.equal(given, group)
    assert torch.equal(held[::3], held[2::3])


def test_the_lars_probe_learns_with_small_features():
    """Unit embeddings have small coordinates: batch normalisation makes the paper's rate fit them."""
    features, labels = data(1000, d=16, classes=4)
    test, truth = data(500, d=16, classes=4, seed=1)
    config = LarsConfig(batch_size=128, learning_rate=51.2)
    rate = {}
    for norm in (True, False):
        settings = LarsConfig(**{**vars(config), "batch_norm": norm})
        scores = lars_probe(0.02 * features, labels, 0.02 * test, 4, config=settings)
        rate[norm] = float(top_hits(scores, truth).double().mean())
    best = float(top_hits(exact_probe(features, labels, test, 4).scores, truth).double().mean())
    assert rate[True] > best - 0.02
    assert rate[False] < best - 0.02


def test_the_schedule_of_the_paper():
    config = LarsConfig()
    assert (config.learning_rate, config.batch_size, config.epochs, config.warmup_epochs) == (1.6, 4096, 45, 5)
    assert learning_rate(0, config) == 0
    assert learning_rate(2.5, config) == pytest.approx(0.8)
    assert learning_rate(5, config) == pytest.approx(1.6)
    assert learning_rate(25, config) == pytest.approx(0.8)
    assert learning_rate(45, config) == pytest.approx(0)


def test_seeds_of_the_lars_probe():
    features, labels = data()
    config = LarsConfig(epochs=2, warmup_epochs=0, batch_size=50)
    one, again, other = (lars_probe(features, labels, features, 3, config=config, seed=s) for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_lars_steps_are_those_of_the_formula():
    """One step on the whole batch, written out: u = eta * trust * |w| / |g| * g for the weights, eta g for the bias."""
    features, labels = data(40, d=3, classes=2)
    config = LarsConfig(epochs=2, warmup_epochs=0, batch_size=40, batch_norm=False, learning_rate=100.0)
    found = lars_probe(features, labels, torch.eye(3), 2, config=config, seed=7)
    generator = torch.Generator().manual_seed(7)
    weight, bias = torch.randn(2, 3, generator=generator) * 0.01, torch.zeros(2)
    moments = [torch.zeros(2, 3), torch.zeros(2)]
    for step in range(2):
        eta = learning_rate(step, config) * 40 / 4096
        away = (features @ weight.T + bias).softmax(1) - torch.nn.functional.one_hot(labels, 2)
        gradients = [away.T @ features / 40, away.mean(0)]
        gradients[0] = gradients[0] * 0.001 * weight.norm() / gradients[0].norm()
        moments = [0.9 * m + g for m, g in zip(moments, gradients, strict=True)]
        weight, bias = weight - eta * moments[0], bias - eta * moments[1]
    assert found.numpy() == pytest.approx((weight.T + bias).numpy(), abs=1e-6)


def test_refusals():
    features, labels = data(10)
    with pytest.raises(ValueError, match="penalty: expected a number above 0"):
        fit_logistic(features, labels, 3, penalty=0.0)
    with pytest.raises(ValueError, match="labels: expected values of at least 0 and at most 1"):
        fit_logistic(features, labels, 2, penalty=1.0)
    with pytest.raises(ValueError, match="features: expected finite values"):
        fit_logistic(features * np.nan, labels, 3, penalty=1.0)
