"""What every verb with a model does: collect all problems before step 0, make Trainers, and end cleanly."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback, ProgressBar
from lightning.pytorch.loggers import Logger

from lightning_untrac.data import CorpusDataModule, EpisodePlan
from lightning_untrac.errors import ConfigurationError, raise_if_any
from lightning_untrac.loggers import SafeWandbLogger, WandbConfig, make_loggers
from lightning_untrac.modules import LanguageModule
from lightning_untrac.verbs.parsing import Parsed
from lightning_untrac.verbs.run_folder import RunFolder

OURS = {"reload_dataloaders_every_n_epochs", "use_distributed_sampler", "num_sanity_val_steps", "barebones"}
"""Trainer flags that a verb sets itself, because the numbers depend on them."""


class Phase:
    """A verb's model, data and Trainers, checked.

    Args:
        parsed: the verb's arguments.
        step: name of the step in the output folder.
        episodic: whether the verb sets the number of epochs (an epoch is an episode).

    Attributes:
        folder: the output folder.
        config: the resolved configuration.
        identity: the configuration and whatever else the results depend on, such as the digest of a model's weights.
        data: the datasets, tokenised once :meth:`check` has passed.
    """

    def __init__(self, parsed: Parsed, step: str, episodic: bool = True) -> None:
        _quiet()
        self.parsed, self.step, self.episodic = parsed, step, episodic
        self.folder = RunFolder(parsed.options.output, parsed.options.overwrite)
        self.config = parsed.resolved()
        self.identity = dict(self.config)
        self.module, self.data, self._trainer_arguments = parsed.build()
        self._built = False

    # -- checks ----------------------------------------------------------------------------------------------------

    def check(self, plan: EpisodePlan, problems: Iterable[str] = ()) -> None:
        """Raise everything that is wrong, before anything is written or stepped on.

        Args:
            plan: what the verb is going to do.
            problems: what the verb itself found.

        Raises:
            ConfigurationError: with all problems of options, model, data, Trainer and output folder.
        """
        found = [*problems, *self.module.problems(), *self._trainer_problems()]
        found += self.folder.problems(self.step, self.identity)
        prepared = False
        try:
            self.data.prepare(self.module)
            prepared = True
        except ConfigurationError as error:
            found += [problem for problem in error.problems if problem not in found]
        if prepared:
            found += plan.problems(self.data.corpus_names, self.data.test_set_names)
        elif plan.steps is not None and plan.steps < 1:
            found.append(f"steps: {plan.steps}; an episode needs at least 1 optimizer step")
        raise_if_any(found)

    def _trainer_problems(self) -> list[str]:
        given = self._trainer_arguments
        found = []
        if given.get("max_steps", -1) == 0 or given.get("max_epochs") == 0:
            found.append("trainer.max_steps / max_epochs: 0 steps train nothing; give at least 1")
        if self.episodic:
            if given.get("max_epochs") is not None:
                found.append("trainer.max_epochs: an epoch is an episode and their number is known; use --steps or --passes")
            if given.get("max_steps", -1) > 0:
                found.append("trainer.max_steps: counts over all episodes; use --steps, which counts in each")
        if given.get("barebones"):
            found.append("trainer.barebones: turns off the callbacks that measure; leave it out")
        return found

    def start(self, **run_fields: Any) -> None:
        """Claim the output folder and write down what was asked and what was found in the data."""
        self.folder.claim(self.step, self.config, self.identity)
        self.folder.add_notes("warning", self.data.notes())
        self.folder.update_run(data=[*_data_rows(self.data)], **run_fields)

    @property
    def is_done(self) -> bool:
        """Whether this very step was finished before."""
        return self.folder.is_done(self.step, self.identity)

    def mark_done(self) -> None:
        """Remember that the step is finished."""
        self.folder.mark_done(self.step, self.identity)

    # -- building --------------------------------------------------------------------------------------------------

    def build_module(self) -> LanguageModule:
        """A module whose weights are not loaded yet; the checked one first, then new ones."""
        if not self._built:
            self._built = True
            return self.module
        return self.parsed.build()[0]

    def build_trainer(self, callbacks: Sequence[Callback] = (), logger: Any = None, **arguments: Any) -> L.Trainer:
        """A new Trainer from the user's flags.

        Args:
            callbacks: the verb's, before the user's.
            logger: used unless the user configured loggers.
            arguments: what the verb decides.
        """
        given = self.parsed.build()[2]
        theirs = given.pop("callbacks", None) or []
        theirs = theirs if isinstance(theirs, list) else [theirs]
        for name in OURS:
            given.pop(name, None)
        given.setdefault("enable_model_summary", False)
        given.setdefault("logger", logger)
        if given.get("enable_progress_bar") is False:
            callbacks = [callback for callback in callbacks if not isinstance(callback, ProgressBar)]
        return L.Trainer(
            **{
                **given,
                "default_root_dir": given.get("default_root_dir") or self.folder.path,
                "callbacks": [*callbacks, *theirs],
                "use_distributed_sampler": False,  # the DataModule splits by rank itself, without repeating examples
                "num_sanity_val_steps": 0,
                **arguments,
            }
        )

    def build_loggers(self, run_name: str) -> list[Logger]:
        """CSV and, where asked for, W&B."""
        wandb: WandbConfig | None = self.parsed.options.wandb
        return make_loggers(wandb, self.folder.path, self.step, run_name, self.config)


def run_trainer(call: Callable[[], Any]) -> Any:
    """Run a Trainer's ``fit`` or ``validate``; Ctrl-C comes out as ``KeyboardInterrupt``.

    Lightning ends the process with exit code 1 itself after Ctrl-C, which would skip the command line's own message.
    """
    try:
        return call()
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


def _quiet() -> None:
    """One voice on the terminal: the verb's own. Warnings and errors of the libraries still come through."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)


def finish_loggers(trainer: L.Trainer) -> None:
    """End W&B runs, so that the next phase's is one of its own."""
    for logger in trainer.loggers:
        if isinstance(logger, SafeWandbLogger):
            logger.finish()


def _data_rows(data: CorpusDataModule) -> Iterable[dict[str, Any]]:
    for role, datasets in (("corpus", data.tokenized_corpora), ("test set", data.tokenized_test_sets)):
        for dataset in datasets.values():
            yield {
                "name": dataset.name,
                "role": role,
                "num_examples": len(dataset),
                "num_tokens": dataset.num_targets,
                "truncated": dataset.num_truncated,
                "source": dataset.config.path,
            }


def saved_model(folder: Path, name: str) -> str | None:
    """Path of a model that an earlier step saved, or None."""
    path = folder / name
    return str(path) if path.is_dir() else None
