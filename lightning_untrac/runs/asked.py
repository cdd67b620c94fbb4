"""What a verb is going to do, and what the checks of it need to know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import lightning.pytorch as L

from lightning_untrac.callbacks import StoppingRule
from lightning_untrac.config.parsing import Parsed
from lightning_untrac.data import CorpusDataModule, EpisodePlan
from lightning_untrac.data.forget_set import ForgetChoice
from lightning_untrac.modules import LanguageModule
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.verb import Column


@dataclass
class Intent:
    """What a verb is going to do, known from its options alone.

    Attributes:
        stage: name of the stage in the output folder: the verb's own, or ``VERB-SOMETHING``.
        plan: its episodes.
        problems: what is wrong with its options.
        column: whose column of the table of Trainer flags counts.
        choice: which examples of a corpus are taken out of it to be forgotten.
        rules: which end its episodes early, beside those among the Trainer's callbacks.
    """

    stage: str
    plan: EpisodePlan
    problems: list[str]
    column: Column
    choice: ForgetChoice | None = None
    rules: Sequence[StoppingRule] = ()


class Checked(Protocol):
    """What the checks ask of a stage; :class:`~lightning_untrac.runs.stage.Stage` has it."""

    parsed: Parsed
    name: str
    column: Column
    roles: tuple[str, ...]
    folder: RunFolder
    module: LanguageModule
    data: CorpusDataModule
    identity: dict[str, Any]
    trainer_arguments: dict[str, Any]
    replicas: int
    on_cpu: bool
    shards_weights: bool
    log_every_n_steps: int

    def tell(self, level: str, note: str) -> None:
        """Print what the report is to say too."""

    def take_trial(self) -> L.Trainer:
        """A Trainer that only shows whether the flags make one."""
