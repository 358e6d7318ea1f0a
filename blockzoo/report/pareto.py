"""Pareto fronts and hypervolumes, exact; all objectives are minimised."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def pareto_front(points: Points) -> npt.NDArray[np.int64]:
    """Places of the points that no other point beats: none is as small in every objective and smaller in one.

    Args:
        points: (N, objectives). Equal points are all kept; a point with a NaN is on no front and beats none.

    Returns:
        Ascending places. Two objectives take one sort; more compare with the front found so far.

    Examples:
        >>> pareto_front(np.array([[1.0, 4.0], [2.0, 2.0], [3.0, 3.0], [4.0, 1.0]]))
        array([0, 1, 3])
    """
    points = np.asarray(points, np.float64)
    if (complete := ~np.isnan(points).any(1)).sum() < len(points):
        return np.flatnonzero(complete)[pareto_front(points[complete])]
    if not len(points):
        return np.zeros(0, np.int64)
    order = np.lexsort(points.T[::-1])
    ranked = points[order]
    if points.shape[1] == 2:
        best = np.minimum.accumulate(ranked[:, 1])
        before = np.append(np.inf, best[:-1])
        new = ranked[:, 1] < before
        # a point equal to the newest point of the front is on it too
        newest = np.maximum.accumulate(np.where(new, np.arange(len(ranked)), 0))
        is_on_front = (ranked == ranked[newest]).all(1)
        return np.sort(order[is_on_front])
    kept_points = np.empty_like(ranked)
    places, size = [], 0
    for place, point in zip(order.tolist(), ranked, strict=True):
        front = kept_points[:size]
        beaten = (front <= point).all(1) & (front < point).any(1)
        if not beaten.any():
            kept_points[size] = point
            places.append(place)
            size += 1
    return np.sort(np.array(places, np.int64))


def hypervolume(points: Points, reference: npt.ArrayLike) -> float:
    """The volume that points dominate within the box up to `reference`.

    Sliced along the last objective: between two of its values the dominated region has one cross-section, which is a
    hypervolume of one objective less.

    Args:
        points: (N, objectives).
        reference: (objectives,). Points that are not below it in every objective count nothing.

    Examples:
        The union of the rectangles from (1, 4), (2, 2) and (4, 1) to (5, 5): 4 x 1 + 3 x 2 + 1 x 1.

        >>> hypervolume(np.array([[1.0, 4.0], [2.0, 2.0], [4.0, 1.0]]), (5, 5))
        11.0
    """
    corner = np.asarray(reference, np.float64)
    inside = points[(points < corner).all(1)]
    return _volume(inside[pareto_front(inside)], corner) if len(inside) else 0.0


def _volume(points: Points, corner: Points) -> float:
    if points.shape[1] == 1:
        return float(corner[0] - points.min())
    if points.shape[1] == 2:
        ranked = points[np.argsort(points[:, 0], kind="stable")]
        ceiling = np.minimum.accumulate(np.append(corner[1], ranked[:-1, 1]))
        gained = np.maximum(ceiling - ranked[:, 1], 0)
        return float(((corner[0] - ranked[:, 0]) * gained).sum())
    ranked = points[np.argsort(points[:, -1], kind="stable")]
    depths = np.diff(np.append(ranked[:, -1], corner[-1]))
    total = 0.0
    for n, depth in enumerate(depths.tolist(), 1):
        if depth > 0:
            slab = ranked[:n, :-1]
            total += depth * _volume(slab[pareto_front(slab)], corner[:-1])
    return total


def cost_accuracy_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the Pareto-optimal points (cost, accuracy), by falling neither in cost nor in accuracy.

    A point is beaten if another costs no more, is no less accurate, and is better in one of the two. Equal points
    are all kept. In order of cost.
    """
    values = np.array([(cost, -accuracy) for cost, accuracy in points], float).reshape(-1, 2)
    return sorted(pareto_front(values).tolist(), key=lambda i: points[i])
