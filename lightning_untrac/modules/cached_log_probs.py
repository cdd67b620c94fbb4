"""The log-probability of each sequence under the model before unlearning, measured once and kept by example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.functional import example_losses

if TYPE_CHECKING:
    from lightning_untrac.data.collator import LanguageBatch
    from lightning_untrac.modules.unlearner import Unlearner


class CachedLogProbs:
    """The log-probability of each sequence's targets under the pre-unlearning model, computed once an episode.

    It is read before the first step, while those weights are in place: no second model, no second forward pass in a
    step. 8 bytes an example.
    """

    title: ClassVar[str] = "the log-probability of each sequence, computed once before the first step"

    def __init__(self) -> None:
        self._of: dict[str, dict[int, np.ndarray]] = {}

    @torch.no_grad()
    def measure(self, module: Unlearner, stream: str) -> None:
        """Read every example of a stream once, shared out over the ranks; call it on every rank.

        Args:
            module: with the pre-unlearning weights in place.
            stream: ``forget``, ``retain``, ``alternative`` or ``evaluation``.
        """
        trainer = module.trainer
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "stream_dataloader"):
            raise ConfigurationError(
                [
                    f"model.unlearning_objective: it needs the log-probabilities of every {stream} example before the "
                    "first step, and the data can't be gone through; fit with a CorpusDataModule"
                ]
            )
        loader, sizes = data.stream_dataloader(stream)
        sums = {index: np.zeros(size) for index, size in enumerate(sizes)}
        with module.without_dropout(), trainer.precision_plugin.val_step_context():
            for batch in loader:
                losses, _ = example_losses(*module.forward(trainer.strategy.batch_to_device(batch)))
                which, rows = (batch[key].cpu().numpy() for key in ("dataset_index", "example_index"))
                values = -losses.cpu().numpy()
                for index in np.unique(which[which >= 0]):
                    sums[index][rows[which == index]] = values[which == index]
        device = trainer.strategy.root_device
        self._of[stream] = {
            index: torch.as_tensor(
                trainer.strategy.reduce(torch.from_numpy(values).to(device), reduce_op="sum")
            ).cpu().numpy()
            for index, values in sums.items()
        }  # fmt: skip

    def of(self, stream: str, batch: LanguageBatch) -> Tensor:
        """The log-probabilities of a batch's sequences, ``[batch]`` float64, on its device; 0 for filler.

        Raises:
            UnlearningError: if they were never measured.
        """
        if stream not in self._of:
            raise UnlearningError(f"the log-probabilities of the {stream} examples were never measured before step 1")
        which, rows = (batch[key].cpu().numpy() for key in ("dataset_index", "example_index"))
        values = [self._of[stream][w][r] if w >= 0 else 0.0 for w, r in zip(which.tolist(), rows.tolist(), strict=True)]
        return torch.tensor(values, dtype=torch.float64, device=batch["input_ids"].device)

    def state_dict(self) -> dict[str, Any]:
        """What was measured, for checkpoints."""
        return {s: {i: torch.from_numpy(v) for i, v in found.items()} for s, found in self._of.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take :meth:`state_dict` back."""
        self._of = {s: {int(i): v.numpy() for i, v in found.items()} for s, found in state.items()}
