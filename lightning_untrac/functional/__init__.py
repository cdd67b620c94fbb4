"""The maths: tensors in, tensors out; no Trainer, no state, no communication."""

from lightning_untrac.functional.checksum import tensor_checksum
from lightning_untrac.functional.influence import READOUTS, Readout, read_out
from lightning_untrac.functional.loss import (
    IGNORE_INDEX,
    example_losses,
    mean_token_loss,
    shift_labels_left,
    sum_by_dataset,
    uniform_guess_loss,
)
from lightning_untrac.functional.overlap import bhattacharyya, ngram_frequencies

__all__ = [
    "IGNORE_INDEX",
    "READOUTS",
    "Readout",
    "bhattacharyya",
    "example_losses",
    "mean_token_loss",
    "ngram_frequencies",
    "read_out",
    "shift_labels_left",
    "sum_by_dataset",
    "tensor_checksum",
    "uniform_guess_loss",
]
