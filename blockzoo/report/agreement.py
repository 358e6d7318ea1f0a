"""Whether two lists of noisy values put the same things into one order: Kendall's tau, and what noise allows.

What is seen are values with errors: the worths of blocks at one position, each from a few trainings. Noise disturbs an order, so
tau of what is seen is smaller than tau of the true values, and two repetitions of one experiment do not agree wholly either.
Both are worked out by one model, over whose parameters is summed:

    true values of a thing ~ N(mean, [[s1^2, r s1 s2], [r s1 s2, s2^2]]),  r = sin(pi t / 2),  each t from -1 to 1 alike
    what is seen           = true values + noise with the standard errors that are given

Source: Kendall, A new measure of rank correlation, Biometrika 30 (1938), for ties The treatment of ties in ranking problems,
Biometrika 33 (1945); half Cauchy priors of s1 and s2: Gelman, Prior distributions for variance parameters in hierarchical models,
Bayesian Analysis 1 (2006). That r is the sine of a quarter turn times tau holds for all normal values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.report.pairs import Pairs, kendall_taus, pairs_of, tau_b

if TYPE_CHECKING:
    from jaxtyping import Float

LEAST = 4
"""Things of which an order says something."""
LEAST_DEGREES = 3
"""Degrees of freedom from which errors are known well enough for an interval."""
DRAWS, SCALES = 2000, 16
WIDTHS = np.array([0.02, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.1, 1.4, 2.0, 3.0])
"""Standard deviations of true values that are tried, as multiples of that of what is seen."""
TAUS = np.linspace(-1, 1, 41)
"""Values of t that are tried; the ends are orders that are the same, and the reverse."""
NEARLY = 0.999
"""The largest correlation of two errors."""


@dataclass(frozen=True)
class Order:
    """Values by which things are put in order.

    Args:
        name: of the experiment or list, in words.
        values: of each thing.
        errors: standard errors; zeros where the values are taken as they are; empty where nobody knows them.
        degrees: of freedom of the errors; 0 where they are exact.
        why: there are no errors, as a clause.
        remark: what is to be known of the errors, as a clause.
    """

    name: str
    values: Mapping[str, float]
    errors: Mapping[str, float] = field(default_factory=dict)
    degrees: int = 0
    why: str = ""
    remark: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether its values have no noise, as far as is known."""
        return bool(self.errors) and not any(self.errors.values())


@dataclass(frozen=True)
class Agreement:
    """How far two orders agree.

    Args:
        orders: the names of the two.
        things: that both have.
        pairs: of things that were compared.
        tau: Kendall's tau-b of what is seen; 1 for the same order, 0 for unrelated ones, -1 for the reverse.
        rho: Spearman's rank correlation of what is seen, over all things.
        interval: holds tau of the true values in 95 % of experiments.
        ceilings: tau that two repetitions of each would have; None where nobody knows its noise.
        why: there is no interval, as a clause.
        remark: what is to be known of the interval, as a clause.
    """

    orders: tuple[str, str]
    things: int
    pairs: int
    tau: float
    rho: float
    interval: tuple[float, float] | None
    ceilings: tuple[float | None, float | None]
    why: str = ""
    remark: str = ""

    @property
    def verdict(self) -> str:
        """In words, of the true orders."""
        if self.interval is None:
            return "cannot be said"
        low, high = self.interval
        if low > 0:
            return "agree" if low >= 0.5 else "are related"
        return "are opposed" if high < 0 else "may be unrelated"

    @property
    def sentence(self) -> str:
        """What it means."""
        one, other = self.orders
        text = f"{one} and {other} over {self.things} blocks: tau {self.tau:+.2f}"
        if self.interval is None:
            return f"{text}; how sure that is cannot be said: {self.why}"
        text += (
            f", without noise {self.interval[0]:+.2f} to {self.interval[1]:+.2f}: the orders {self.verdict}"
        )
        ceilings = [
            f"of {name}{' would agree' if number == 0 else ''} at {at:+.2f}"
            for number, (name, at) in enumerate(
                (name, at) for name, at in zip(self.orders, self.ceilings, strict=True) if at is not None
            )
        ]
        return f"{text}; two repetitions {', '.join(ceilings)}" if ceilings else text


def agreement(
    first: Order,
    second: Order,
    *,
    shared: Mapping[str, float] | None = None,
    together: bool = False,
    comparable: Callable[[str, str], bool] | None = None,
) -> Agreement | None:
    """Of the things that both orders have; None of fewer than four, or where no two of them are comparable.

    Args:
        first: one order.
        second: another.
        shared: covariances of the errors of the two values of a thing, where seeds are shared.
        together: the errors of both come from one estimate of the spread.
        comparable: whether a pair of things is to be compared; by default all are.
    """
    names = sorted(first.values.keys() & second.values.keys())
    if len(names) < LEAST:
        return None
    pairs = pairs_of(names, comparable)
    x, y = (np.array([order.values[name] for name in names]) for order in (first, second))
    if not len(pairs[0]):
        return None
    seen = (first.name, second.name), len(names), len(pairs[0]), tau_b(x, y, pairs), _spearman(x, y)
    reasons = [_unknown(order, names) for order in (first, second)]
    if any(reasons):
        return Agreement(*seen, None, (None, None), next(filter(None, reasons)))
    if not (np.ptp(x) > 0 and np.ptp(y) > 0):
        return Agreement(*seen, None, (None, None), "all values of one of them are equal")
    true = TrueValues(names, (first, second), shared or {}, together)
    taus = kendall_taus(true.draws[:, :, 0], true.draws[:, :, 1], pairs)
    low, high = np.quantile(taus, [0.025, 0.975])
    ceilings = tuple(
        None if order.is_exact else true.ceiling(number, pairs)
        for number, order in enumerate((first, second))
    )
    remarks = dict.fromkeys(order.remark for order in (first, second) if order.remark)
    return Agreement(*seen, (float(low), float(high)), (ceilings[0], ceilings[1]), remark="; ".join(remarks))


def _unknown(order: Order, names: Collection[str]) -> str:
    """Why the noise of an order is not known; empty where it is."""
    if any(name not in order.errors for name in names):
        return order.why or f"the noise of {order.name} is not known"
    if not order.is_exact and order.degrees < LEAST_DEGREES:
        return f"the noise of {order.name} is known from {order.degrees} degrees of freedom alone: more seeds tell it"
    return ""


def _spearman(x: Float[np.ndarray, " things"], y: Float[np.ndarray, " things"]) -> float:
    from scipy.stats import rankdata

    ranks = [rankdata(of) - (len(of) + 1) / 2 for of in (x, y)]
    size = float(np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum()))
    return float((ranks[0] * ranks[1]).sum()) / size if size else 0.0


class TrueValues:
    """The true values of two orders, drawn as they may be after what was seen.

    Args:
        names: of the things.
        orders: the two, with errors of each thing.
        shared: see `agreement`, and so is `together`.
        together: one scale for the errors of both.
    """

    def __init__(
        self, names: list[str], orders: tuple[Order, Order], shared: Mapping[str, float], together: bool
    ) -> None:
        self.random = np.random.default_rng(0)
        seen = np.array([[order.values[name] for order in orders] for name in names])
        self.centre, self.spread = seen.mean(0), seen.std(0, ddof=1)
        self.seen: Float[np.ndarray, "things 2"] = (seen - self.centre) / self.spread
        errors = np.array([[order.errors[name] for order in orders] for name in names]) / self.spread
        both = np.array([shared.get(name, 0.0) for name in names]) / self.spread.prod()
        limit = NEARLY * errors.prod(1)
        self.noise = np.zeros((len(names), 2, 2))
        self.noise[:, 0, 0], self.noise[:, 1, 1] = errors.T**2
        self.noise[:, 0, 1] = self.noise[:, 1, 0] = np.clip(both, -limit, limit)
        self.scales = self._scales(orders, together)

    def _scales(self, orders: tuple[Order, Order], together: bool) -> Float[np.ndarray, "scales 2"]:
        """What the errors may have to be multiplied by, as they are estimates."""
        scales = []
        for order in orders[:1] if together else orders:
            degrees = order.degrees
            drawn = self.random.chisquare(degrees, SCALES) / degrees if degrees else np.ones(SCALES)
            scales.append(1 / np.sqrt(drawn))
        return np.stack([scales[0], scales[-1]], 1)

    @cached_property
    def draws(self) -> Float[np.ndarray, "draws things 2"]:
        """Of the true values of all things."""
        return self._drawn[0]

    def ceiling(self, which: int, pairs: Pairs) -> float:
        """Tau of two repetitions of one of the orders, on average."""
        true, scales = self._drawn
        size = np.sqrt(self.noise[:, which, which]) * scales[:, None, which]
        first, second = (
            true[:, :, which] + size * self.random.standard_normal(true.shape[:2]) for _ in range(2)
        )
        return float(kendall_taus(first, second, pairs).mean())

    @cached_property
    def _drawn(self) -> tuple[Float[np.ndarray, "draws things 2"], Float[np.ndarray, "draws 2"]]:
        """Of the true values, with the scales of the errors that belong to them."""
        covariances, prior = _grid()
        kinds, of_kind = np.unique(self.noise, axis=0, return_inverse=True)
        of_kind = of_kind.reshape(-1)
        fits = [_Fit(covariances, kinds * np.outer(s, s), of_kind, self.seen) for s in self.scales]
        weight = np.concatenate([prior + fit.likelihood for fit in fits])
        weight = np.exp(weight - weight.max())
        chosen = self.random.choice(len(weight), DRAWS, p=weight / weight.sum())
        draws, scales = np.empty((DRAWS, *self.seen.shape)), np.empty((DRAWS, 2))
        for number, fit in enumerate(fits):
            mine = chosen // len(prior) == number
            scales[mine] = self.scales[number]
            draws[mine] = fit.drawn(chosen[mine] % len(prior), self.random)
        return draws, scales


def _grid() -> tuple[Float[np.ndarray, "grid 2 2"], Float[np.ndarray, " grid"]]:
    """Covariances of true values that are tried, and the logarithm of the prior probability of each."""
    one, two, t = (axis.ravel() for axis in np.meshgrid(WIDTHS, WIDTHS, TAUS, indexing="ij"))
    r = np.sin(np.pi * t / 2)
    covariances = np.stack([one**2, r * one * two, r * one * two, two**2], 1).reshape(-1, 2, 2)
    step = np.gradient(WIDTHS)
    cauchy = np.log(step / (1 + WIDTHS**2))
    prior = np.add.outer(np.add.outer(cauchy, cauchy), np.zeros(len(TAUS))).ravel()
    return covariances, prior


class _Fit:
    """How well each covariance of true values explains what is seen, the mean being anything.

    Args:
        covariances: of the true values of a thing.
        kinds: different covariances of noise.
        of_kind: which of them each thing has.
        seen: the values.
    """

    def __init__(
        self,
        covariances: Float[np.ndarray, "grid 2 2"],
        kinds: Float[np.ndarray, "kinds 2 2"],
        of_kind: Float[np.ndarray, " things"],
        seen: Float[np.ndarray, "things 2"],
    ) -> None:
        self.covariances, self.of_kind, self.seen = covariances, of_kind, seen
        counts = np.bincount(of_kind, minlength=len(kinds))
        total = covariances[:, None] + kinds[None] + 1e-9 * np.eye(2)
        self.weights = _inverse(total)
        sums = np.stack([seen[of_kind == kind].sum(0) for kind in range(len(kinds))])
        squares = np.stack([seen[of_kind == kind].T @ seen[of_kind == kind] for kind in range(len(kinds))])
        precision = np.einsum("k,gkab->gab", counts, self.weights)
        pull = np.einsum("gkab,kb->ga", self.weights, sums)
        self.mean_covariance = _inverse(precision)
        self.mean = np.einsum("gab,gb->ga", self.mean_covariance, pull)
        apart = np.einsum("gkab,kab->g", self.weights, squares) - np.einsum("ga,ga->g", pull, self.mean)
        sizes = np.log(_determinant(total)) @ counts + np.log(_determinant(precision))
        self.likelihood = -0.5 * (sizes + apart)

    def drawn(
        self, places: Float[np.ndarray, " draws"], random: np.random.Generator
    ) -> Float[np.ndarray, "draws things 2"]:
        """True values for each of some covariances."""
        mean = self.mean[places] + _normal(self.mean_covariance[places], random)
        prior, weights = self.covariances[places][:, None], self.weights[places]
        gain = prior @ weights  # draws kinds 2 2
        left = _normal((prior - gain @ prior)[:, self.of_kind], random)
        apart = self.seen[None] - mean[:, None]
        return np.asarray(mean[:, None] + np.einsum("dnab,dnb->dna", gain[:, self.of_kind], apart) + left)


def _determinant(matrices: Float[np.ndarray, "*many 2 2"]) -> Float[np.ndarray, "*many"]:
    return np.asarray(matrices[..., 0, 0] * matrices[..., 1, 1] - matrices[..., 0, 1] * matrices[..., 1, 0])


def _inverse(matrices: Float[np.ndarray, "*many 2 2"]) -> Float[np.ndarray, "*many 2 2"]:
    turned = np.empty_like(matrices)
    turned[..., 0, 0], turned[..., 1, 1] = matrices[..., 1, 1], matrices[..., 0, 0]
    turned[..., 0, 1], turned[..., 1, 0] = -matrices[..., 0, 1], -matrices[..., 1, 0]
    return np.asarray(turned / _determinant(matrices)[..., None, None])


def _normal(
    covariances: Float[np.ndarray, "*many 2 2"], random: np.random.Generator
) -> Float[np.ndarray, "*many 2"]:
    """One draw from each normal distribution around 0, by Cholesky's decomposition; what is below 0 by rounding is 0."""
    z = random.standard_normal((*covariances.shape[:-2], 2))
    first = np.sqrt(np.maximum(covariances[..., 0, 0], 0))
    slope = np.divide(covariances[..., 0, 1], first, out=np.zeros_like(first), where=first > 0)
    second = np.sqrt(np.maximum(covariances[..., 1, 1] - slope**2, 0))
    return np.stack([first * z[..., 0], slope * z[..., 0] + second * z[..., 1]], -1)
