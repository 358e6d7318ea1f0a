"""Two blocks compared image by image, over trainings and test images jointly.

A seed says how a difference varies from training to training on these test images; that they are some of many is a second chance.
Where each test image's outcome is stored, both are seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from blockzoo.core.outcomes import Outcomes

if TYPE_CHECKING:
    from jaxtyping import Float

    from blockzoo.core.store import Store

LEVEL = 0.05
RESAMPLED = 2000
AT_ONCE = 200
ENOUGH_SEEDS = 6
"""That are drawn anew too: of fewer, a resample varies less than a new draw would."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Counted:
    """On how many single test images two blocks differ.

    Args:
        images: of the test split.
        seeds: that both have, with outcomes.
        only_first: images that the first block classifies rightly and the other does not, in a training on average.
        only_second: the other way.
        mcnemar: for each seed, the probability of so uneven counts between equally good networks (exact).
        spread_of_images: standard error of the difference that is due to the test images being some of many.
    """

    images: int
    seeds: int
    only_first: float
    only_second: float
    mcnemar: tuple[float, ...]
    spread_of_images: float

    @property
    def agreement(self) -> float:
        """Share of the images on which both are right or both wrong."""
        return 1 - (self.only_first + self.only_second) / self.images

    def over_both(self, value: float, error: float, degrees: int) -> Interval:
        """95 % interval of a difference over trainings and test images jointly: both chances added (Satterthwaite's degrees).

        Args:
            value: the difference.
            error: its standard error over trainings.
            degrees: degrees of freedom of that error.
        """
        from scipy.special import stdtrit

        of_seeds, of_images = error**2, self.spread_of_images**2
        both = of_seeds + of_images
        if both == 0:
            return value, value
        freedom = both**2 / (of_seeds**2 / max(degrees, 1) + of_images**2 / max(self.images - 1, 1))
        half = float(stdtrit(freedom, 1 - LEVEL / 2)) * math.sqrt(both)
        return value - half, value + half


@dataclass(frozen=True)
class OverImages(Counted):
    """The same counts, with intervals of the differences over test images.

    Args:
        accuracy: 95 % interval of the difference, by BCa bootstrap over images, and over seeds where there are six.
        loss: the difference of the test losses, and its interval, made alike.
        chance: standard deviation between trainings of one block that independent errors on so many images give; None for one.
    """

    accuracy: Interval
    loss: tuple[float, Interval]
    chance: float | None


def counted(first: Mapping[object, Outcomes], second: Mapping[object, Outcomes]) -> Counted | None:
    """The counts of `over_images` alone, which take a hundredth of the time of its intervals; None as there."""
    seeds = _seeds_of_both(first, second)
    if not seeds:
        return None
    hits = np.array([[o[s].hits for s in seeds] for o in (first, second)], np.int8)  # (2, seeds, images)
    return Counted(*_counts(hits[0] - hits[1]))


def _seeds_of_both(first: Mapping[object, Outcomes], second: Mapping[object, Outcomes]) -> list[object]:
    """None where trainings had other test images."""
    seeds = [s for s in first if s in second and len(first[s].hits) == len(second[s].hits)]
    return seeds if len({len(first[s].hits) for s in seeds}) == 1 else []


def _counts(
    difference: Float[np.ndarray, "seeds images"],
) -> tuple[int, int, float, float, tuple[float, ...], float]:
    ones = [(int((d > 0).sum()), int((d < 0).sum())) for d in difference]
    return (
        difference.shape[1],
        len(difference),
        float(np.mean([a for a, _ in ones])),
        float(np.mean([b for _, b in ones])),
        tuple(mcnemar(a, b) for a, b in ones),
        math.sqrt(_variance_of_images(difference) / difference.shape[1]),
    )


def over_images(first: Mapping[object, Outcomes], second: Mapping[object, Outcomes]) -> OverImages | None:
    """Compare two blocks, given the outcomes of their trainings by seed; None where no seed has both, on as many images."""
    seeds = _seeds_of_both(first, second)
    if not seeds:
        return None
    hits = np.array([[o[s].hits for s in seeds] for o in (first, second)], float)  # (2, seeds, images)
    losses = np.array([[o[s].losses for s in seeds] for o in (first, second)])
    difference, of_losses = hits[0] - hits[1], losses[0] - losses[1]
    joint = len(seeds) >= ENOUGH_SEEDS
    return OverImages(
        *_counts(difference),
        bca(difference, of_seeds=joint),
        (float(of_losses.mean()), bca(of_losses, of_seeds=joint)),
        _chance(hits) if len(seeds) > 1 else None,
    )


def outcomes_in(store: Store, fingerprint: str) -> Outcomes | None:
    """What a store has of a trial's test images; None where it was stored before they were."""
    records = store.records("trial", fingerprint=fingerprint)
    return Outcomes.of(records[-1].outcomes) if records and records[-1].outcomes else None


def mcnemar(only_first: int, only_second: int) -> float:
    """Probability, two-sided and exact, of counts so uneven where both are as likely.

    Source: McNemar, Psychometrika 12 (1947), with the binomial distribution in place of chi-squared.
    """
    if only_first == only_second:
        return 1.0
    from scipy.special import bdtr

    total = only_first + only_second
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), total, 0.5)))


def bca(values: Float[np.ndarray, "seeds images"], *, of_seeds: bool) -> Interval:
    """95 % interval of the mean by the bias-corrected and accelerated bootstrap; seeds and images are drawn apart.

    Args:
        values: a difference for each.
        of_seeds: draw the seeds anew too; else these trainings are meant, on other images.

    Source: Efron, JASA 82 (1987), equation 2.3; drawing rows and columns: Owen, Annals of Applied Statistics 1 (2007).
    """
    from scipy.special import ndtr, ndtri

    mean, of_image, of_seed = float(values.mean()), values.mean(0), values.mean(1)
    if float(values.std()) == 0:
        return mean, mean
    draw, drawn = np.random.default_rng(0), np.empty(RESAMPLED)
    count, images = values.shape
    for start in range(0, RESAMPLED, AT_ONCE):
        again = draw.multinomial(images, np.full(images, 1 / images), AT_ONCE) / images
        if of_seeds:
            seeds = draw.multinomial(count, np.full(count, 1 / count), AT_ONCE) / count
            drawn[start : start + AT_ONCE] = np.einsum("ri,si,rs->r", again, values, seeds, optimize=True)
        else:
            drawn[start : start + AT_ONCE] = again @ of_image
    below = (np.count_nonzero(drawn < mean) + np.count_nonzero(drawn == mean) / 2) / RESAMPLED
    bias = ndtri(min(max(below, 1 / RESAMPLED), 1 - 1 / RESAMPLED))
    pulls = (of_image - mean) / images
    if of_seeds:
        pulls = np.append(pulls, (of_seed - mean) / count)
    acceleration = (pulls**3).sum() / (6 * (pulls**2).sum() ** 1.5)
    tails = bias + ndtri([LEVEL / 2, 1 - LEVEL / 2])
    low, high = np.quantile(drawn, ndtr(bias + tails / (1 - acceleration * tails)))
    return float(low), float(high)


def _variance_of_images(difference: Float[np.ndarray, "seeds images"]) -> float:
    """Of what an image has of a difference in every seed; of one seed, all that an image has."""
    count = len(difference)
    of_images = float(difference.mean(0).var(ddof=1))
    if count == 1:
        return of_images
    left = difference - difference.mean(0) - difference.mean(1, keepdims=True) + difference.mean()
    apart = float((left**2).sum()) / ((count - 1) * (difference.shape[1] - 1))
    return float(max(0.0, of_images - apart / count))


def _chance(hits: Float[np.ndarray, "blocks seeds images"]) -> float:
    """Standard deviation of an accuracy whose errors were independent, each image with its own share of rights among the seeds.

    Source: Jordan, arXiv 2304.01910.
    """
    share, count = hits.mean(1), hits.shape[1]
    variance = (share * (1 - share)).sum(1) * count / (count - 1)
    return float(np.sqrt(variance.mean()) / hits.shape[2])
