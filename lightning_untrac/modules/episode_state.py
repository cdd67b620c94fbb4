"""What an unlearning module does at the hooks of a fit, kept out of the hooks that its subclasses override."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from typing_extensions import override

from lightning_untrac.sharded_state import own_state, whole_state
from lightning_untrac.sharding import reshard


class EpisodeState(Callback):
    """Prepares each episode of an ``Unlearning`` module, and keeps what its objective has found in checkpoints.

    The module brings it along (``configure_callbacks``), after the Trainer's own callbacks: the pre-unlearning weights
    are in place when an episode is prepared. A subclass that overrides a hook without calling ``super`` loses nothing.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    @override
    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.module.reference.on_fit_start()
        self.module.own_answers.prepare()

    @override
    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.module.reference.on_train_start()

    @override
    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        module = self.module
        module.episode_status, module.episode_ended, module.healing = "ok", False, False
        module.two_gradients.clear()  # an episode may have ended between two micro-batches of a step
        episode = getattr(getattr(trainer, "datamodule", None), "current_episode", None)
        # A later epoch over the same mixture goes on from moved weights.
        if (trainer.current_epoch if episode is None else episode.pass_index) == 0:
            module.reference.prepare()
            module.unlearning_objective.prepare(module)

    @override
    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        self.module.unlearning_objective.after_step(self.module)

    @override
    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.module.reference.forget()
        self.module.own_answers.clear()

    @override
    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.module.reference.forget()
        self.module.own_answers.clear()

    @override
    def state_dict(self) -> dict[str, Any]:
        writes = bool(self.module.trainer.is_global_zero)
        terms = self.module.unlearning_objective.state_dict()
        state = {
            "terms": whole_state(terms, self._parameters(), keep=writes),
            "reference": self.module.reference.state_dict(),
            "own_answers": self.module.own_answers.state_dict(),
            "healing": self.module.healing,
        }
        return {name: part for name, part in state.items() if part}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.module.own_answers.load_state_dict(state_dict.get("own_answers", {}))
        self.module.healing = state_dict.get("healing", False)
        self.module.reference.load_state_dict(state_dict.get("reference", {}))
        terms = own_state(state_dict.get("terms", {}), self._parameters())
        self.module.unlearning_objective.load_state_dict(terms)

    def _parameters(self) -> dict[str, Any]:
        if (model := self.module.model) is None:
            return {}
        reshard(model)
        found: dict[str, Any] = self.module.trainable_parameters()
        return found
