"""What a term of an objective may ask of the module that unlearns, outside of steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lightning_untrac.data.collator import LanguageBatch
from lightning_untrac.errors import ConfigurationError
from lightning_untrac.modules.language import LanguageModule
from lightning_untrac.modules.weight_parts import WeightParts
from lightning_untrac.objectives.objective import Objective

NO_STREAM = (
    "model.unlearning_objective: {objective} needs {stream} examples, which no batch brings; fit with a "
    "CorpusDataModule, or put into each batch a batch of them as `{stream}` and, into both, `step_tokens` and "
    "`step_sequences`: the targets of the whole step"
)


class AnsweringTerms(LanguageModule):
    """The half of an ``Unlearning`` that its terms see (:class:`~lightning_untrac.objectives.unlearns.Unlearns`)."""

    unlearning_objective: Objective
    parts: WeightParts

    def own_parts(self) -> dict[str, Tensor]:
        """This rank's part of what may move, by name, without a graph; all of it where weights are not sharded."""
        return self.parts.now()

    def sum_over_shards(self, values: Tensor) -> Tensor:
        """What was summed over this rank's part of the weights as the sum over all of them."""
        return self.parts.total(values)

    def loss_gradient(self, batch: LanguageBatch) -> dict[str, Tensor]:
        """Gradient of the mean loss per token by :meth:`own_parts`, without dropout; none is kept."""
        with self.without_dropout(), self.trainer.precision_plugin.train_step_context():
            return self.parts.gradient(self.mean_loss(batch))

    def retained_examples(self, count: int) -> Iterator[LanguageBatch]:
        """At most ``count`` examples that the current episode is to keep, one a batch, the same on every rank."""
        data: Any = getattr(self.trainer, "datamodule", None)
        if not hasattr(data, "retained_dataloader"):
            raise ConfigurationError([NO_STREAM.format(objective=self.unlearning_objective, stream="retain")])
        for batch in data.retained_dataloader(count):
            yield self.trainer.strategy.batch_to_device(batch)

    @property
    def num_layers(self) -> int:
        """Layers of the model, or of an encoder-decoder's decoder."""
        config = self.model_config.get_text_config()
        names = ("num_decoder_layers", "decoder_layers", "num_hidden_layers")[0 if self.is_seq2seq else 2 :]
        return next(int(found) for name in names if (found := getattr(config, name, None)) is not None)

    @property
    def episode_seed(self) -> int:
        """Seed of the current episode; 0 for data without episodes."""
        episode = getattr(getattr(self.trainer, "datamodule", None), "current_episode", None)
        return 0 if episode is None else int(episode.seed)

    def sum_over_ranks(self, values: Tensor) -> Tensor:
        """The sum of each rank's values."""
        strategy = self.trainer.strategy
        return torch.as_tensor(strategy.reduce(values.to(strategy.root_device), reduce_op="sum"))
