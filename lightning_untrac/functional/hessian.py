"""Products with a Hessian and its inverse, without ever holding the matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

HessianProduct = Callable[[Tensor], Tensor]
"""``[vectors, parameters]`` to the same shape, each row multiplied by one symmetric matrix."""


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Several tensors after one another, ``[parameters]``."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


def hessian_vector_products(loss: Tensor, parameters: Sequence[Tensor], vectors: Tensor) -> Tensor:
    """Products of a loss' Hessian with several vectors, by a second backward pass each (Pearlmutter 1994).

    Args:
        loss: a scalar that was computed from ``parameters``.
        parameters: what the Hessian is taken in.
        vectors: ``[vectors, parameters]``.

    Returns:
        ``[vectors, parameters]``; zero rows where the loss is linear.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> hessian_vector_products((x**3).sum(), [x], torch.eye(2)).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    gradients = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    gradient = flatten(gradients)
    if not gradient.requires_grad:
        return torch.zeros_like(vectors)
    products = [
        flatten(
            torch.autograd.grad(
                gradient, parameters, grad_outputs=vector.to(gradient), retain_graph=True, materialize_grads=True
            )
        )
        for vector in vectors
    ]
    return torch.stack(products).to(vectors)


def largest_eigenvalue(product: HessianProduct, start: Tensor, iterations: int) -> float:
    """Magnitude of the eigenvalue furthest from 0, by power iteration; from below.

    Args:
        product: multiplies by the matrix.
        start: ``[parameters]``, not 0.
        iterations: products.

    Example:
        >>> round(largest_eigenvalue(lambda v: v * torch.tensor([1.0, -4.0]), torch.ones(2), 20), 4)
        4.0
    """
    vector, size = start / start.norm(), 0.0
    for _ in range(iterations):
        image = product(vector[None])[0]
        size = float(image.norm())
        if size == 0:
            return 0.0
        vector = image / size
    return size


def lissa(product: HessianProduct, vectors: Tensor, *, scale: float, damping: float, iterations: int) -> Tensor:
    """``(H + damping I)^-1 vectors`` by the truncated Neumann series (Agarwal et al. 2017).

    ``h <- v + (1 - damping / scale) h - H h / scale``, then ``h / scale``. It converges where every eigenvalue of
    ``H + damping I`` lies between 0 and ``2 scale``; cut off after n steps, directions whose eigenvalue is far below
    ``scale / n`` are only multiplied by ``n / scale``, which is a regularisation of its own.

    Args:
        product: multiplies by H.
        vectors: ``[vectors, parameters]``.
        scale: at least half of the largest eigenvalue.
        damping: what is added to every eigenvalue.
        iterations: terms of the series after the first.

    Example:
        >>> solved = lissa(lambda v: v * 2, torch.ones(1, 1), scale=3.0, damping=0.0, iterations=50)
        >>> round(solved.item(), 4)
        0.5
    """
    solution = vectors.clone()
    for _ in range(iterations):
        solution = vectors + (1 - damping / scale) * solution - product(solution) / scale
    return solution / scale


def krylov_eigenpairs(product: HessianProduct, start: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Approximate eigenpairs of a symmetric matrix from a Krylov space (Arnoldi, each vector orthogonalised twice).

    Args:
        product: multiplies by the matrix.
        start: ``[parameters]``, not 0.
        iterations: products, and at most so many pairs.

    Returns:
        ``values`` (``[pairs]`` float64, furthest from 0 first) and ``vectors`` (``[pairs, parameters]``, orthonormal).

    Example:
        >>> values, vectors = krylov_eigenpairs(lambda v: v * torch.tensor([1.0, -3.0]), torch.ones(2), 5)
        >>> [round(v, 4) for v in values.tolist()]
        [-3.0, 1.0]
    """
    iterations = min(iterations, len(start))
    basis = start.new_zeros(iterations, len(start))
    projected = torch.zeros(iterations, iterations, dtype=torch.float64)
    vector, size = start / start.norm(), iterations
    for step in range(iterations):
        basis[step] = vector
        image = product(vector[None])[0]
        scale = float(image.norm())
        for _ in range(2):
            overlap = basis[: step + 1] @ image
            projected[: step + 1, step] += overlap.double().cpu()
            image = image - overlap @ basis[: step + 1]
        rest = float(image.norm())
        if rest <= 1e-5 * scale or step + 1 == iterations:
            size = step + 1
            break
        projected[step + 1, step] = rest
        vector = image / rest
    square = projected[:size, :size]
    values, rotation = torch.linalg.eigh((square + square.T) / 2)
    order = values.abs().argsort(descending=True)
    return values[order], rotation[:, order].T.to(basis) @ basis[:size]
