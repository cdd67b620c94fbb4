"""How far each text of a forget set is memorised, measured again and again, and when that is enough."""

from __future__ import annotations

import math
from typing import Any, Final, Literal, get_args

import lightning.pytorch as L
import numpy as np
import torch

from lightning_untrac.callbacks.measure_recorder import MeasureRecorder
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional.example_means import exact_mean
from lightning_untrac.functional.memorisation import memorisation_accuracy
from lightning_untrac.functional.outliers import Level, sides, unseen_level
from lightning_untrac.functional.uncertainty import Floats
from lightning_untrac.metrics.memorisation_accuracy import MemorisationAccuracy
from lightning_untrac.naming import counted
from lightning_untrac.sharding import reshard

Stop = Literal["mean", "max", "outliers"]

STOPS: Final[tuple[Stop, ...]] = get_args(Stop)

NO_HOLDOUT = (
    "data.holdout: {method} measures its {what} on text that was never trained on, and there is none; name such text "
    "as data.holdout, or give {numbers} (published numbers, .70 and .33, belong to GPT-Neo and 200 tokens a text)"
)


def holdout_problems(method: str, **levels: float | None) -> list[str]:
    """What is wrong where there is no holdout.

    Args:
        method: its name.
        levels: setting to its value; those that are None are measured.
    """
    measured = [name for name, value in levels.items() if value is None]
    numbers = " and ".join(f"method.{name}" for name in measured)
    return [NO_HOLDOUT.format(method=method, what=" and ".join(measured), numbers=numbers)] if measured else []


def level_problems(stop: str | None, **levels: float | None) -> list[str]:
    """What is wrong with a rule and its levels.

    Args:
        stop: the rule.
        levels: setting to its value, a memorisation accuracy; None where it is measured.
    """
    found = [
        f"method.{name}: {value}; give a memorisation accuracy from 0 to 1, or leave it out to measure it"
        for name, value in levels.items()
        if value is not None and not 0 <= value <= 1
    ]
    if stop is not None and stop not in STOPS:
        found.append(f"method.stop: {stop!r} is unknown; give one of {', '.join(STOPS)}")
    return found


@torch.no_grad()
def measured_accuracies(module: Any, dataset: str) -> Floats:
    """The memorisation accuracy of every example (or block) of a dataset, in one forward pass; call it on every rank.

    Args:
        module: an ``Unlearning`` that is being fitted with a ``CorpusDataModule``.
        dataset: its name.

    Returns:
        ``[examples]``; NaN without a target, and where a target's logits are not finite: the first choice among those
        would look like something forgotten.
    """
    trainer = module.trainer
    data: Any = trainer.datamodule
    size = len(data.training_examples(dataset))
    found = torch.zeros(size, dtype=torch.float64)
    with module.without_dropout(), trainer.precision_plugin.val_step_context():
        for batch in data.sample_dataloader(dataset, size):
            seen = module.outputs_of(trainer.strategy.batch_to_device(batch))
            shares, _ = memorisation_accuracy(seen.hits, seen.targets)
            broken = (~seen.logits.amax(dim=-1).isfinite() & seen.places).any(dim=1)
            shares = torch.where(broken, math.nan, shares).cpu()
            rows = batch["example_index"].cpu()
            found[rows[rows >= 0]] = shares[rows >= 0]
    reshard(module.model)  # a checkpoint may be the next thing that reads the weights
    if trainer.world_size > 1:  # each example was measured by one rank
        found = module.sum_over_ranks(found).cpu()
    return np.asarray(found.numpy())


class Memorisation:
    """The memorisation accuracy of each forget text, and of unseen text before the first step.

    Every text counts alike in the means here, as published. Unseen text is the holdout that shows its level for the
    forget set (its twins, where it has any), under the model at hand before the first step.

    Args:
        stop: what is held against a level: the ``mean`` (Jang et al. 2022; Barbulescu and Triantafillou 2024), the
            ``max``, or the ``outliers``, the texts at the level or above, of which none is to be left; None for no
            rule.
        level: by default the mean, or the highest, of unseen text, or :attr:`bound`.

    Attributes:
        start: accuracies before the first step; None where there was none yet.
        now: the newest accuracies.
        unseen: level of unseen text; None without a holdout.
        unseen_max: the highest accuracy of an unseen text; NaN without.
    """

    def __init__(self, stop: Stop | None, level: float | None = None) -> None:
        self.stop, self.level = stop, level
        self.forget()

    def forget(self) -> None:
        """Begin anew, for another episode."""
        self.start: Floats | None = None
        self.now: Floats | None = None
        self.unseen: Level | None = None
        self.unseen_max = math.nan
        self._name, self._counts = "", np.zeros(0, dtype=np.bool_)

    # -- measuring -------------------------------------------------------------------------------------------------

    def begin(self, module: Any) -> None:
        """Measure the forget set and unseen text with the weights before the first step; call it on every rank.

        Raises:
            UnlearningError: if the predictions are not finite.
        """
        data: Any = module.trainer.datamodule
        self._name = data.current_episode.dataset
        self._counts = data.training_examples(self._name).target_counts() > 0
        self.start = self.now = measured_accuracies(module, self._name)
        unseen = [measured_accuracies(module, name) for name in data.unseen_names(self._name)]
        if unseen:
            values = np.concatenate(unseen)
            self.unseen, self.unseen_max = unseen_level(values), float(np.nanmax(values))
        if not self.is_finite:
            raise UnlearningError(f"{self._name}: the model's predictions are not finite before the first step")

    def measure(self, module: Any) -> None:
        """Measure the forget set again; call it on every rank."""
        self.now = measured_accuracies(module, self._name)

    @property
    def values(self) -> Floats:
        """The newest accuracies, of the texts that have a target."""
        assert self.now is not None
        found: Floats = self.now[self._counts]
        return found

    @property
    def is_finite(self) -> bool:
        """Whether the newest accuracies are those of finite predictions."""
        return bool(np.isfinite(self.values).all())

    @property
    def mean(self) -> float:
        """The newest mean over texts."""
        return exact_mean(self.values, np.ones(len(self.values)))

    @property
    def start_mean(self) -> float:
        """The mean over texts before the first step."""
        assert self.start is not None
        values = self.start[self._counts]
        return exact_mean(values, np.ones(len(values)))

    @property
    def bound(self) -> float:
        """Where unseen text ends: its mean and two standard deviations; where no text can reach that, its highest."""
        assert self.unseen is not None  # `problems` has asked
        high = self.unseen.high if self.unseen.high < 1 else self.unseen_max
        return max(high, math.nextafter(self.unseen.mean, math.inf))  # what is as all unseen text is not beyond it

    def beyond(self) -> tuple[int, int] | None:
        """How many texts stand below and above unseen text now; None without a holdout."""
        if self.unseen is None:
            return None
        below = sides(self.values, self.unseen) == -1
        return int(below.sum()), int((self.values >= self.bound).sum())

    def numbers(self) -> dict[str, float]:
        """What loggers and tables are told of the newest accuracies."""
        beyond = self.beyond()
        found = {"mean": self.mean, "max": float(self.values.max())}
        return found if beyond is None else {**found, "below": beyond[0], "above": beyond[1]}

    # -- stopping --------------------------------------------------------------------------------------------------

    def reached(self) -> tuple[bool, str]:
        """Whether the rule is met now, and a clause that says how it stands."""
        values, level = self.values, self._level()
        if self.stop == "outliers":
            above = int((values >= level).sum())
            are = "is" if above < 2 else "are"
            return above == 0, f"{above or 'none'} of {len(values)} texts {are} memorised to {level:.3f} or more"
        value = self.mean if self.stop == "mean" else float(values.max())
        met, whose = value <= level, "" if self.level is not None else " of unseen text"
        what = f"{self._name}'s {self.stop} memorisation accuracy {value:.3f}"
        return met, f"{what} is {'at most' if met else 'above'} {level:.3f}{whose}"

    def _level(self) -> float:
        if self.level is not None:
            return self.level
        assert self.unseen is not None  # `problems` has asked
        return {"mean": self.unseen.mean, "max": self.unseen_max}.get(self.stop or "", self.bound)

    # -- words -----------------------------------------------------------------------------------------------------

    def must_go_on(self) -> str:
        """How the rule stands before the first step.

        Raises:
            UnlearningError: if it is met, so that there is nothing to do.
        """
        met, said = self.reached()
        if met:
            beyond = self.beyond()
            above = beyond[1] if beyond is not None else 0
            but = f", though {counted(above, 'text')} of it {'is' if above == 1 else 'are'} beyond" if above else ""
            raise UnlearningError(
                f"forgetting would end before its first step: {said}{but}; give a lower method.level, or another "
                f"method.stop ({', '.join(STOPS)})"
            )
        return said

    def said(self, bound: float | None = None) -> str:
        """What it came to, for people.

        Args:
            bound: an accuracy from which on texts are counted; by default where unseen text ends.
        """
        if self.start is None:
            return ""
        before, now = self.start[self._counts], self.values
        unseen = "" if self.unseen is None else f" (unseen text {self.unseen.mean:.2f} ± {self.unseen.sd:.2f})"
        found = (
            f"memorisation accuracy: mean {before.mean():.2f} to {now.mean():.2f}, highest {before.max():.2f} to "
            f"{now.max():.2f}{unseen}"
        )
        if bound is None and self.unseen is not None:
            bound = self.bound
        if bound is not None:
            counts = [int((values >= bound).sum()) for values in (before, now)]
            found += f"; {counts[0]} of {len(now)} texts were at {bound:.2f} or above, {counts[1]} are now"
        if (beyond := self.beyond()) is not None:
            found += f", and {beyond[0]} below unseen text"
        return found

    def log(self, trainer: L.Trainer, step: int, **more: float) -> None:
        """Tell the loggers, as ``memorisation/...``, and the table of sums, as statistics ``pass_...``.

        Args:
            trainer: that fits.
            step: optimizer steps of the episode before the newest accuracies.
            more: further numbers.
        """
        numbers = {**self.numbers(), **more}
        for logger in trainer.loggers:
            logger.log_metrics({f"memorisation/{key}": value for key, value in numbers.items()}, trainer.global_step)
        units = dict.fromkeys(("mean", "max"), MemorisationAccuracy.unit)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, MeasureRecorder):
                found = {f"pass_{key}": (value, units.get(key, "texts")) for key, value in numbers.items()}
                callback.add(trainer, step, MemorisationAccuracy.name, self._name, found)

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """What was measured."""
        if self.start is None or self.now is None:
            return {}
        arrays = {"start": self.start, "now": self.now, "counts": self._counts}
        return {
            **{name: torch.from_numpy(array) for name, array in arrays.items()},
            "unseen": None if self.unseen is None else list(self.unseen),
            "unseen_max": self.unseen_max,
            "name": self._name,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""
        self.forget()
        if not state:
            return
        self.start, self.now, self._counts = (state[name].numpy() for name in ("start", "now", "counts"))
        self.unseen = None if state["unseen"] is None else Level(*state["unseen"])
        self.unseen_max, self._name = state["unseen_max"], state["name"]
