"""The latent spaces of several models in one plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np

from lightning_untrac.functional.uncertainty import Floats

Projection = Literal["pca", "umap"]
"""How states become points: the plane of most variance, or a curved map that keeps neighbours together."""

COMPONENTS: Final = 50
"""Principal components in which spaces are turned onto each other: the rest is next to nothing, and costs time."""

NEIGHBOURS: Final = 15
"""Of UMAP, its own default."""


class Plane(NamedTuple):
    """A model's examples as points.

    Attributes:
        kept: ``[n, 2]``.
        others: ``[m, 2]``.
        share: of the variance of ``kept`` that the plane shows; NaN for a map that is none.
    """

    kept: Floats
    others: Floats
    share: float


def latent_planes(kept: Sequence[Floats], others: Sequence[Floats], projection: Projection = "pca") -> list[Plane]:
    """Points of several models, the first of which says how the plane lies.

    The plane is that of the two principal components of the first model's kept examples. Another model's space has
    axes of its own, so it is first turned onto the first one's by an orthogonal Procrustes fit of the same kept
    examples (and scaled to the same spread): that keeps all of its angles and relative distances, and the kept examples
    alone decide it. UMAP is fitted on the first model's kept examples, in the space of the components, and all models'
    examples are mapped by it.

    Args:
        kept: ``[n, width]`` for each model, the same examples in one order.
        others: ``[m, width]`` for each model, alike.
        projection: ``pca`` or ``umap``.

    Returns:
        One a model.

    Example:
        >>> states = np.array([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
        >>> first, turned = latent_planes([states, 7 * states[:, [2, 0, 1]]], [states[:1], 7 * states[:1, [2, 0, 1]]])
        >>> bool(np.allclose(first.kept, turned.kept)), bool(np.allclose(first.others, turned.others)), first.share
        (True, True, 1.0)
    """
    from scipy.linalg import orthogonal_procrustes
    from sklearn.decomposition import PCA

    count = min(COMPONENTS, *(min(one.shape) for one in kept))
    turned: list[tuple[Floats, Floats]] = []
    for mine, beside in zip(kept, others, strict=True):
        mine, beside = mine.astype(np.float64), beside.astype(np.float64)
        spread = float(np.sqrt(mine.var(axis=0).sum())) or 1.0
        components = PCA(count, random_state=0).fit(mine)
        sides = components.transform(mine) / spread, components.transform(beside) / spread
        turn = orthogonal_procrustes(sides[0], turned[0][0])[0] if turned else np.eye(count)
        turned.append((sides[0] @ turn, sides[1] @ turn))
    if projection == "umap":
        return _mapped(turned)
    return [
        Plane(mine[:, :2], beside[:, :2], float(np.square(mine[:, :2]).sum() / len(mine))) for mine, beside in turned
    ]


def _mapped(turned: Sequence[tuple[Floats, Floats]]) -> list[Plane]:
    from umap import UMAP

    first = turned[0][0]
    fitted = UMAP(n_neighbors=min(NEIGHBOURS, len(first) - 1), random_state=0, n_jobs=1).fit(first)
    found = []
    for place, sides in enumerate(turned):
        mine, beside = (np.asarray(fitted.transform(one), dtype=np.float64) for one in sides)
        found.append(Plane(mine if place else np.asarray(fitted.embedding_, dtype=np.float64), beside, float("nan")))
    return found
