"""Influence functions with EK-FAC."""

from __future__ import annotations

from typing import ClassVar, Literal

from lightning_untrac.attribution.kronecker import KroneckerInfluence


class EKFAC(KroneckerInfluence):
    """Influence functions with the eigenvalue-corrected Kronecker factors of each linear layer's Fisher matrix.

    The Fisher matrix is that of whole blocks or examples (summed token losses).

    * Unit and sign: ``G . F^-1 . G'``, comparable within one model; positive = the corpus helps the model produce the
      test set.
    * Cost: a backward pass over every dataset, two over at most 1024 blocks of the mixture, and two
      eigendecompositions a layer (cubic in its width). Memory: a gradient of the linear layers for each dataset, and
      one more for each layer's eigenvalues and per-example gradients of a batch.
    * Needs: the package kronfluence, which brings torchvision (never used, but where it does not fit torch nothing
      imports: take it from the same index as torch); one device; float32 weights.
    * Source: George et al. 2018; Grosse et al. 2023; kronfluence (Bae et al. 2024).
    """

    method: ClassVar[str] = "ekfac"
    title: ClassVar[str] = "EK-FAC"
    summary: ClassVar[str] = (
        "Estimates by an influence function, with Kronecker factors of each layer's Fisher matrix and "
        "corrected eigenvalues, what giving a corpus more weight in training would do to each test set."
    )
    unit: ClassVar[str] = "G.F⁻¹.G'"
    strategy: ClassVar[Literal["identity", "diagonal", "kfac", "ekfac"]] = "ekfac"
