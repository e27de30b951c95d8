"""The minimum that is found is the minimum, by the steps SciPy takes."""

from __future__ import annotations

import numpy as np
import pytest

from upcycle.training.shallow.descent import minimum


def counted(function):
    """The function, and where it was asked."""
    asked: list[np.ndarray] = []

    def loss(at):
        asked.append(at.copy())
        return function(at)

    return loss, asked


def logistic(seed: int, scale: float):
    """Log loss of 30 rows of 8 columns with a small penalty."""
    random = np.random.default_rng(seed)
    rows, labels = scale * random.normal(size=(30, 8)), (random.random(30) < 0.5) * 1.0

    def loss(at):
        said = rows @ at
        wrong = 0.5 * (1 + np.tanh(said / 2)) - labels
        value = float((np.logaddexp(0, said) - labels * said).mean() + 1e-3 * (at @ at))
        return value, rows.T @ wrong / 30 + 2e-3 * at

    return loss


def test_the_minimum_of_a_bowl_is_where_algebra_says():
    shape = np.diag([1.0, 10.0, 100.0])
    wanted = np.array([3.0, -2.0, 1.0])

    def bowl(at):
        return float(0.5 * (at - wanted) @ shape @ (at - wanted)), shape @ (at - wanted)

    found = minimum(bowl, np.zeros(3), 1e-9)
    assert found == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 10.0])
@pytest.mark.parametrize("seed", range(5))
def test_the_slope_at_the_end_is_as_flat_as_asked(seed, scale):
    loss = logistic(seed, scale)
    assert np.abs(loss(minimum(loss, np.zeros(8), 1e-5))[1]).max() <= 1e-5


def test_a_valley_that_bends_is_followed_to_its_end():
    def rosenbrock(at):
        x, y = at
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2, np.array(
            [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)]
        )

    assert minimum(rosenbrock, np.array([-1.2, 1.0]), 1e-8) == pytest.approx([1, 1], abs=1e-6)


def test_a_start_at_the_minimum_is_the_end():
    loss, asked = counted(lambda at: (float(at @ at), 2 * at))
    assert minimum(loss, np.zeros(4), 1e-9) == pytest.approx(0)
    assert len(asked) == 1


def test_a_slope_of_nothing_but_rounding_ends_the_search():
    # The value cannot fall any further, though the slope is never as flat as asked.
    found = minimum(lambda at: (1e9 + float(at @ at), 2 * at), np.ones(3), 1e-300)
    assert found == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
@pytest.mark.parametrize("seed", range(5))
def test_every_place_it_looks_at_is_one_scipy_looks_at(seed, scale):
    optimize = pytest.importorskip("scipy.optimize")
    loss, asked = counted(logistic(seed, scale))
    found = minimum(loss, np.zeros(8), 1e-5)
    options = {"gtol": 1e-5, "maxls": 50, "ftol": 64 * np.finfo(float).eps, "maxiter": 1000}
    theirs = optimize.minimize(logistic(seed, scale), np.zeros(8), jac=True, method="L-BFGS-B", options=options)
    assert len(asked) == theirs.nfev
    assert found == pytest.approx(theirs.x, abs=1e-6)


def test_the_places_it_looks_at_are_as_many_as_scipys_where_that_is_not_installed():
    # Read once from scipy.optimize.minimize(method="L-BFGS-B") of SciPy 1.17.1.
    loss, asked = counted(logistic(3, 100.0))
    found = minimum(loss, np.zeros(8), 1e-5)
    assert len(asked) == 19
    wanted = [0.00446919, -0.00451435, 0.00875884, 0.01446425, -0.00334396, -0.01173031, 0.00757905, 0.00813509]
    assert found == pytest.approx(wanted, abs=1e-6)
