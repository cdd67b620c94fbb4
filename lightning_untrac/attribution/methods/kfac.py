"""Influence functions with K-FAC."""

from __future__ import annotations

from typing import ClassVar, Literal

from lightning_untrac.attribution.kronecker import KroneckerInfluence


class KFAC(KroneckerInfluence):
    """Influence functions with the Kronecker factors of each linear layer's Fisher matrix.

    The Fisher matrix is that of single tokens, taken as independent.

    * Unit and sign: ``G . F^-1 . G'``, comparable within one model; positive = the corpus helps the model produce the
      test set.
    * Cost: a backward pass over every dataset, one over at most 1024 blocks of the mixture, and two
      eigendecompositions a layer (cubic in its width). Memory: a gradient of the linear layers for each dataset, and
      one more for the eigenvalues.
    * Needs: the package kronfluence, which brings torchvision (never used, but where it does not fit torch nothing
      imports: take it from the same index as torch); one device; float32 weights.
    * Source: Martens and Grosse 2015; kronfluence (Bae et al. 2024).
    """

    method: ClassVar[str] = "kfac"
    title: ClassVar[str] = "K-FAC"
    summary: ClassVar[str] = (
        "Estimates by an influence function, with Kronecker factors of each layer's Fisher matrix, what "
        "giving a corpus more weight in training would do to each test set."
    )
    unit: ClassVar[str] = "G.F⁻¹.G'"
    strategy: ClassVar[Literal["identity", "diagonal", "kfac", "ekfac"]] = "kfac"
    gradient_passes: ClassVar[float] = 1.8
