"""Influence functions in a Krylov space of the Hessian."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor
from typing_extensions import override

from lightning_untrac.attribution.curvature import HessianInfluence, random_direction
from lightning_untrac.functional.hessian import HessianProduct, krylov_eigenpairs


class Arnoldi(HessianInfluence):
    """Influence functions in the directions of the Hessian's largest eigenvalues, found by Arnoldi iteration.

    Gradients are projected on the eigenvectors of a Krylov space of a random direction and divided by their
    eigenvalues; whatever lies outside counts nothing.

    Args:
        iterations: Hessian products, the dimension of the Krylov space.
        num_eigenvectors: how many are kept, furthest from 0 first: the last ones of the space have not converged, and
            dividing by them is noise.

    * Unit and sign: ``G . H^-1 . G'``, nats per token for a corpus that is weighted up by 1; positive = the corpus
      helps the model produce the test set.
    * Cost: a backward pass over every dataset, and 25 Hessian products over 256 blocks, about 4 forward passes each.
      Memory: a gradient for each dataset, 25 copies of the parameters, and the graph of a second backward pass.
    * Needs: nothing beside the core; one device; float32 weights; attention eager or sdpa.
    * Source: Schioppa et al. 2022; HIF (Arnoldi) of the UnTrac paper (25 products). Written here, because dattri (0.3)
      stores an example's gradients under ``vmap`` and takes the Hessian of all training data as a single batch.
    """

    method: ClassVar[str] = "arnoldi"
    title: ClassVar[str] = "Arnoldi"
    summary: ClassVar[str] = (
        "Estimates by an influence function, with the strongest directions of the Hessian found by Arnoldi "
        "iteration, what giving a corpus more weight in training would do to each test set."
    )
    unit: ClassVar[str] = "G.H⁻¹.G'"
    gradient_passes: ClassVar[float] = 13.0
    gradients_kept: ClassVar[Literal["none", "test sets", "all"]] = "all"
    other_copies: ClassVar[float] = 25.0
    needs_float32: ClassVar[bool] = True

    def __init__(self, iterations: int = 25, num_eigenvectors: int = 10) -> None:
        self.iterations, self.num_eigenvectors = iterations, num_eigenvectors

    @override
    def inverse_products(self, hessian: HessianProduct, left: Tensor, right: Tensor, seed: int) -> Tensor:
        values, vectors = krylov_eigenpairs(hessian, random_direction(left[0], seed), self.iterations)
        vectors, values = vectors[: self.num_eigenvectors], values[: self.num_eigenvectors].to(left.device)
        return ((left @ vectors.T).double() / values) @ (right @ vectors.T).double().T
