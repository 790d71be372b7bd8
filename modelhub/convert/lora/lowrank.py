"""Matrices as products of two thin ones: the arithmetic of resizing and of extracting.

numpy alone: the factors of a LoRA are so thin, and a seeded random projection makes the others so,
that importing torch takes longer than what it would save on most files.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from modelhub.convert.blas import one_thread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.floating]

_SMALLEST = 1e-6
"""A matrix with no larger singular value counts as zero (kohya-ss ``resize_lora.py``, MIN_SV)."""
_MORE_DIRECTIONS = 10
_POWER_ITERATIONS = 3
_SEED = 0x10AA
_TELLABLE = 1e-8
"""The root of what fp64 can tell from zero beside 1."""


class Keep(StrEnum):
    """By what a rank is chosen for each layer."""

    ENERGY = "energy"
    """So much of the sum of the squared singular values, 0 to 1."""
    FROBENIUS = "sv_fro"
    """So much of the Frobenius norm, the root of that sum, 0 to 1."""
    SUM = "sv_cumulative"
    """So much of the sum of the singular values, 0 to 1."""
    RATIO = "sv_ratio"
    """The singular values larger than the largest through this number, above 1."""


@dataclass(frozen=True, slots=True)
class RankRule:
    """How many singular values of a layer stay.

    :param rank: at most so many.
    :param conv_rank: the same of convolutions wider than 1x1; None: `rank`.
    :param keep: no more of them than this asks for; None: always `rank`.
    :param amount: how much of it.
    """

    rank: int
    conv_rank: int | None = None
    keep: Keep | None = None
    amount: float = 1.0

    def most(self, *, wide: bool) -> int:
        """The highest rank of a layer, `wide` being a convolution wider than 1x1."""
        return self.conv_rank if wide and self.conv_rank is not None else self.rank

    def chosen(self, singular: Matrix, *, wide: bool) -> int:
        """The rank for a layer with these singular values, the largest first; at least 1.

        As kohya-ss/sd-scripts ``networks/resize_lora.py`` (``rank_resize``) has it.
        """
        import numpy as np

        most = min(self.most(wide=wide), len(singular))
        if singular[0] <= _SMALLEST:
            return 1
        if self.keep is None:
            return most
        if self.keep is Keep.RATIO:
            wanted = int(np.sum(singular > singular[0] / self.amount))
        else:
            sizes = singular if self.keep is Keep.SUM else singular**2
            part = self.amount**2 if self.keep is Keep.FROBENIUS else self.amount
            wanted = int(np.searchsorted(np.cumsum(sizes) / np.sum(sizes), part)) + 1
        return max(1, min(wanted, most))


class Decomposition(NamedTuple):
    """A matrix as ``left * singular @ right``, the largest singular values first."""

    left: Matrix
    singular: Matrix
    right: Matrix

    def factors(self, rank: int, scale: float = 1.0) -> tuple[Matrix, Matrix]:
        """The best product of this rank, times `scale`: what is applied last, and first."""
        return self.left[:, :rank] * (self.singular[:rank] * scale), self.right[:rank]


def of_product(up: Matrix, down: Matrix) -> Decomposition:
    """The decomposition of ``up @ down``, whose product is never made, in fp64.

    Both factors are only ever multiplied: with themselves, which gives small squares that are
    decomposed, and with what comes of these. That is many times faster than making them orthogonal
    one column after the other. Directions that are weaker than the strongest by a factor of 1e8,
    which no type of a file can tell from nothing, become zero.

    :param up: rows by rank.
    :param down: rank by columns.
    """
    import numpy as np

    with one_thread():
        left, right = up.astype("<f8"), down.astype("<f8")
        squares = left.T @ left, right @ right.T
        balance = _balance(*(np.sqrt(np.diagonal(one)) for one in squares))
        outer, outer_inverse = _root(squares[0] * np.outer(balance, balance))
        inner, inner_inverse = _root(squares[1] / np.outer(balance, balance))
        u, singular, v = np.linalg.svd(outer @ inner.T)
        count = min(left.shape[0], *right.shape)
        to_left = balance[:, None] * (outer_inverse @ u[:, :count])
        to_right = (v[:count] @ inner_inverse.T) / balance
        return Decomposition(left @ to_left, singular[:count], to_right @ right)


def _balance(left: Matrix, right: Matrix) -> Matrix:
    """What columns of one factor times, and rows of the other through, makes them equally long."""
    import numpy as np

    both = (left > 0) & (right > 0)
    found: Matrix = np.sqrt(np.divide(right, left, out=np.ones_like(left), where=both))
    return found


def _root(square: Matrix) -> tuple[Matrix, Matrix]:
    """Of ``a.T @ a`` an ``r`` such that it is ``r.T @ r`` too, and its (pseudo-)inverse.

    Then the columns of ``a @ inverse`` are orthonormal, or zero.
    """
    import numpy as np

    sizes, directions = np.linalg.eigh(square)
    roots = np.sqrt(np.maximum(sizes, 0))
    sound = roots > roots.max(initial=0) * _TELLABLE
    inverses = np.divide(1, roots, out=np.zeros_like(roots), where=sound)
    return (directions * np.where(sound, roots, 0)).T, directions * inverses


def of_matrix(matrix: Matrix, rank: int) -> Decomposition:
    """The first singular values of a matrix: exact where it is small, else very nearly so.

    Random projection with power iterations (Halko, Martinsson, Tropp 2011, algorithm 4.4), from a
    fixed seed, so that the same matrix gives the same result.
    """
    import numpy as np

    width = min(2 * rank, rank + 4 * _MORE_DIRECTIONS) + _MORE_DIRECTIONS
    with one_thread():
        if width * 2 >= min(matrix.shape):
            return Decomposition(*np.linalg.svd(matrix, full_matrices=False))
        random = np.random.Generator(np.random.PCG64(_SEED))
        start = random.standard_normal((matrix.shape[1], width), dtype=np.float32)
        basis, _ = np.linalg.qr(matrix @ start)
        for _ in range(_POWER_ITERATIONS):
            across, _ = np.linalg.qr(matrix.T @ basis)
            basis, _ = np.linalg.qr(matrix @ across)
        u, singular, v = np.linalg.svd(basis.T @ matrix, full_matrices=False)
        return Decomposition(basis @ u, singular, v)


def with_core(mid: Matrix, down: Matrix) -> Matrix:
    """The first factor of a Tucker-decomposed convolution, its core multiplied in.

    :param mid: rank by rank by kernel.
    :param down: rank by inputs (by 1 by 1).
    :returns: rank by inputs by kernel.
    """
    import numpy as np

    thin = down.reshape(down.shape[0], down.shape[1])
    folded: Matrix = np.einsum("mn...,nj->mj...", mid, thin)
    return folded
