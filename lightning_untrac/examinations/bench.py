"""What an examination works with: the models of a judgement, their data, and a Trainer for each pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from lightning_untrac.callbacks.score_recorder import ScoreRecorder
from lightning_untrac.data.some_datasets import SomeDatasets
from lightning_untrac.examinations.columns import Column, Number
from lightning_untrac.functional.example_means import weighted_mean
from lightning_untrac.metrics import Measure
from lightning_untrac.metrics.measure import measure_all
from lightning_untrac.modules import LanguageModule
from lightning_untrac.modules.small_models import without_weights
from lightning_untrac.modules.wrapping import Wrapping
from lightning_untrac.outputs import Outputs
from lightning_untrac.results.measures import measure_text
from lightning_untrac.runs.compared import Compared
from lightning_untrac.runs.judging import Arrays, groups_of
from lightning_untrac.runs.kept_arrays import data_digest
from lightning_untrac.runs.measuring import only_measure
from lightning_untrac.runs.stage import Stage
from lightning_untrac.tables.distances import RETAINED
from lightning_untrac.tables.judged import ORIGINAL, RETRAINED, UNLEARNED

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass
class Bench:
    """The models of one forget set, and what runs them.

    Attributes:
        stage: the verb's, checked and (but for :meth:`Examination.problems`) started.
        models: the original, the unlearned and the retrained ones; there may be no retrained one.
        forget: name of the forget set.
        measures: what was asked to be measured of each model, from one forward pass each and with a direction: what
            robustness is read by.
        measured: path of a model to what was measured of it as it is, ``<measure>/value`` and ``<measure>/weight`` to
            dataset to ``[examples]``; of ``measures`` and maybe others.
    """

    stage: Stage
    models: Compared
    forget: str
    measures: Sequence[Measure] = ()
    measured: Mapping[str, Arrays] = field(default_factory=dict)
    _weightless: dict[str, PreTrainedModel] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def retained(self) -> list[str]:
        """Names of the corpora beside the forget set."""
        return list(groups_of(self.stage, self.forget).get(RETAINED, []))

    @cached_property
    def data_digest(self) -> str:
        """Digest of what is evaluated."""
        return data_digest(self.stage)

    @property
    def reads(self) -> list[str]:
        """Names of what most examinations read: the forget set and what is retained."""
        return [self.forget, *self.retained]

    @property
    def retrained(self) -> list[str]:
        """Paths of the retrained models."""
        return list(self.models.retrained.values())

    def role(self, path: str) -> str:
        """``original``, ``unlearned`` or ``retrained``."""
        if path == self.models.original:
            return ORIGINAL
        return RETRAINED if path in self.retrained else UNLEARNED

    def with_roles(self, roles: Sequence[str]) -> list[str]:
        """Paths of the models of some roles.

        Args:
            roles: of :meth:`role`.
        """
        return [path for path in self.models.every if self.role(path) in roles]

    def seed(self, path: str) -> int | None:
        """The seed of a retrained model; None of any other."""
        return {model: seed for seed, model in self.models.retrained.items()}.get(path)

    def build(self, path: str) -> LanguageModule:
        """A module of a saved model, whose weights are not loaded yet; adapters are merged into them.

        Args:
            path: hub name or folder.
        """
        module = self.stage.parsed.build_module().of_saved(path)
        module.merges_adapters = True
        return module

    def without_weights(self, path: str) -> PreTrainedModel:
        """A saved model of shapes alone, made once: what can be told of it before any weights are loaded.

        Args:
            path: hub name or folder; of adapters it is the model that they stand on.
        """
        if path not in self._weightless:
            module = self.build(path)
            self._weightless[path] = without_weights(module.model_config, trust_remote_code=module.trust_remote_code)
        return self._weightless[path]

    def run(self, module: L.LightningModule, recorder: Callback, names: Sequence[str] | None = None) -> None:
        """Validate a module with a Trainer of the user's flags.

        Args:
            module: runs one model, or several; see :class:`~lightning_untrac.modules.wrapping.Wrapping`.
            recorder: keeps what ``validation_step`` returns.
            names: of the datasets that are read; all that are evaluated by default.
        """
        data = self.stage.data if names is None else SomeDatasets(self.stage.data, names)
        only_measure(self.stage, module, data, recorder)

    def scores(self, module: L.LightningModule, scores: Sequence[str], names: Sequence[str] | None = None) -> Arrays:
        """The same of a module whose ``validation_step`` returns ``{"measured": {score: Measured}}``.

        Args:
            module: runs one model, or several.
            scores: what it measures.
            names: of the datasets that are read; all that are evaluated by default.

        Returns:
            ``<score>/value`` and ``<score>/weight`` to dataset to ``[examples]``, on every rank.
        """
        recorder = ScoreRecorder(scores)
        self.run(module, recorder, names)
        return recorder.arrays

    def measure(
        self,
        path: str,
        change: Callable[[LanguageModule], None],
        names: Sequence[str] | None = None,
        measures: Sequence[Measure] | None = None,
    ) -> Arrays:
        """Measure a model after something was done to its weights.

        Args:
            path: of the model.
            change: is given the module once its weights are loaded, on the CPU, before a strategy places them.
            names: of the datasets that are read; all that are evaluated by default.
            measures: by default :attr:`measures`.

        Returns:
            As :meth:`scores`.
        """
        asked = list(self.measures if measures is None else measures)
        module = self.build(path)
        module.changes = lambda _: change(module)
        return self.scores(OneModel(module, asked), [measure.name for measure in asked], names)

    def columns(self, arrays: Arrays, condition: str = "", at: float | None = None) -> list[Column]:
        """What was measured, as columns.

        Args:
            arrays: of :meth:`measure` or :attr:`measured`.
            condition: what was done to the model.
            at: how much of it.
        """
        names = dict.fromkeys(name.rpartition("/")[0] for name in arrays)
        return [
            Column(name, dataset, values, arrays[f"{name}/weight"][dataset], measure_text(name).unit, condition, at)
            for name in names
            for dataset, values in arrays[f"{name}/value"].items()
        ]

    def as_it_is(self, measure: str, dataset: str) -> dict[str, Column]:
        """Path of a model to what was measured of it as it is.

        Args:
            measure: one of :attr:`measures`.
            dataset: one that is evaluated.
        """
        value, weight, unit = f"{measure}/value", f"{measure}/weight", measure_text(measure).unit
        return {
            path: Column(measure, dataset, arrays[value][dataset], arrays[weight][dataset], unit)
            for path, arrays in self.measured.items()
        }

    def mean(self, path: str, column: Column, bounds: tuple[float, float] = (float("-inf"), float("inf"))) -> Number:
        """The weighted mean of a column, with the interval of a bootstrap over examples.

        Args:
            path: of the model.
            column: of it.
            bounds: of its values.
        """
        mean = weighted_mean(column.values, column.weights, bounds=bounds)
        where: dict[str, Any] = {"condition": column.condition, "at": column.at, "unit": column.unit}
        return Number(path, "mean", *mean, measure=column.measure, dataset=column.dataset, **where)


class OneModel(Wrapping):
    """Measures one model.

    Args:
        module: whose weights are not loaded yet.
        measures: what is measured.
    """

    def __init__(self, module: LanguageModule, measures: Sequence[Measure]) -> None:
        super().__init__(module)
        module.measures = tuple(measures)

    def validation_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """What is measured of a batch, as ``measured``."""
        seen: Outputs = self.module.outputs_to_measure(batch)
        return {"measured": measure_all(self.module.measures, seen)}
