"""What a model still predicts once the hidden states of one layer are those of another model."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import override

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.errors import UnlearningError
from lightning_untrac.metrics.measure import Measured
from lightning_untrac.modules.blocks import Blocks, patched, recorded, states_of
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.modules.wrapping import Wrapping

NOT_ONCE = (
    "patching: block {place} of {name} ran {times} times in one forward pass, and its states can be replaced "
    "only where it runs once; leave the examination out"
)


class Patched(Wrapping):
    """Replaces the states of each layer in turn, where tokens are predicted, by those that another model has there.

    Both models lie in memory, each as its own module places it. A batch takes a forward pass of
    each and one for each layer.

    Args:
        module: into whose forward pass states are put, the original.
        source: whose states they are.
        blocks: where both have their layers.
    """

    def __init__(self, module: LanguageModule, source: LanguageModule, blocks: Blocks) -> None:
        super().__init__(module)
        self.source, self.blocks = source, blocks
        for one in (module, source):
            one.compiled = False  # a compiled model does not ask its blocks for hooks again
        self.scores = [str(layer) for layer in range(blocks.count)]

    @property
    def name_or_path(self) -> str:
        """What is read, for progress."""
        return f"{self.source.name_or_path} inside {self.module.name_or_path}"

    @override
    def configure_model(self) -> None:
        super().configure_model()
        self.source._device_mesh = self._device_mesh
        self.source.configure_model()

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.source.setup(stage)

    @override
    def validation_step(self, batch: LanguageBatch, batch_idx: int) -> dict[str, Any]:
        """How much the log-probability of the target falls per token, an example each.

        Returns:
            ``measured``: the layer's number from 0 as a string to ``mean over targets of log p - log p_patched``, nats
            per token, each example with weight 1.
        """
        whole = self.module.outputs_of(batch)
        losses, counts = whole.losses
        known = counts > 0
        measured = {}
        for layer, states in enumerate(self._states(batch, whole.places)):
            under, _ = self._run_with(batch, layer, states, whole.places).losses
            measured[self.scores[layer]] = Measured((under - losses) / counts.clamp(min=1), known.double())
        return {"measured": measured}

    def _states(self, batch: LanguageBatch, places: Tensor) -> list[Tensor]:
        """``[places, width]`` of each layer of the source."""
        assert self.source.model is not None
        with recorded(self.blocks.of(self.source.model)) as outputs:
            self.source.outputs_of(batch)
        found = []
        for place in range(self.blocks.count):
            calls = outputs.get(place, [])
            self._check(place, len(calls))
            states = states_of(calls[0])
            assert states is not None
            found.append(states[places])
        return found

    def _run_with(self, batch: LanguageBatch, layer: int, states: Tensor, places: Tensor) -> Any:
        assert self.module.model is not None
        with patched(self.blocks.of(self.module.model)[layer], states, places) as ran:
            seen = self.module.outputs_of(batch)
        self._check(layer, len(ran))
        return seen

    def _check(self, place: int, times: int) -> None:
        if times != 1:
            raise UnlearningError(NOT_ONCE.format(place=place, name=self.blocks.name, times=times))
