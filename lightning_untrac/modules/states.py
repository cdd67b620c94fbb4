"""What a classifier's head reads of each text."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.modules.wrapping import Wrapping


class States(Wrapping):
    """Gives the last layer's hidden state of each text of every evaluated dataset, at the place that the head reads.

    Args:
        module: a classifier of whole texts.
    """

    @override
    def validation_step(self, batch: LanguageBatch, batch_idx: int) -> dict[str, Any]:
        """One forward pass.

        Returns:
            ``states``: ``[batch, width]``.
        """
        found = self.module.outputs_of(batch, hidden_states=True).hidden_states
        assert found is not None
        return {"states": found[-1][:, 0]}
