"""The maths: tensors in, tensors out; no Trainer, no state, no communication."""

from lightning_untrac.functional.checksum import tensor_checksum
from lightning_untrac.functional.influence import READOUTS, Readout, read_out
from lightning_untrac.functional.loss import (
    IGNORE_INDEX,
    example_losses,
    mean_token_loss,
    shift_labels_left,
    sum_by_dataset,
    token_loss_sum,
    uniform_guess_loss,
)
from lightning_untrac.functional.memorisation import extraction_strength, memorisation_accuracy, target_hits
from lightning_untrac.functional.overlap import bhattacharyya, ngram_frequencies
from lightning_untrac.functional.parts import NUM_PARTS, part_of

__all__ = [
    "IGNORE_INDEX",
    "NUM_PARTS",
    "READOUTS",
    "Readout",
    "bhattacharyya",
    "example_losses",
    "extraction_strength",
    "mean_token_loss",
    "memorisation_accuracy",
    "ngram_frequencies",
    "part_of",
    "read_out",
    "shift_labels_left",
    "sum_by_dataset",
    "target_hits",
    "tensor_checksum",
    "token_loss_sum",
    "uniform_guess_loss",
]
