"""What every verb with a model does: collect all problems before step 0, make Trainers, and end cleanly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac import termination
from lightning_untrac.attribution import Attribution
from lightning_untrac.config.arithmetic import slow_arithmetic
from lightning_untrac.config.parsing import Parsed
from lightning_untrac.config.trainer_flags import flag_notes
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.checks import stream_problems
from lightning_untrac.data.class_checks import lost_class_problems
from lightning_untrac.data.preparation import data_rows
from lightning_untrac.data.shared_texts import kept_texts_note
from lightning_untrac.errors import raise_if_any
from lightning_untrac.loggers import SafeWandbLogger, WandbConfig, make_loggers
from lightning_untrac.modules import LanguageModule
from lightning_untrac.modules.adapters import lora_problems
from lightning_untrac.naming import counted
from lightning_untrac.redaction import redacted
from lightning_untrac.results.methods import texts_of
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checks import (
    data_problems,
    model_problems,
    optimizer_problems,
    source_problems,
    space_problems,
)
from lightning_untrac.runs.classifying import choose_measures, tell_new_head
from lightning_untrac.runs.data_files import Record, configured, take, with_digests
from lightning_untrac.runs.finished import folder_problems, is_finished, note_data_content
from lightning_untrac.runs.identity import with_effective_batch
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.stopping import rule_problems
from lightning_untrac.runs.surroundings import quiet, say, temporary_output
from lightning_untrac.runs.trainers import REFUSALS, length_problems, make_trainer, trainer_problems
from lightning_untrac.tables import InfluenceStore
from lightning_untrac.verb import method_of_stage, traits

NOTHING_STAYS = (
    "no corpus is left beside {name}: nothing holds the rest of the model in place, and no reading shows what it costs "
    "the other corpora; name those that are to stay in data.corpora"
)


class Stage:
    """A verb's model, data and Trainers, checked.

    Args:
        parsed: the verb's arguments.
        asked: what it is going to do.

    Attributes:
        stage: name of the stage in the output folder.
        folder: the output folder.
        config: the resolved configuration.
        identity: the configuration and whatever else the results depend on, such as the digest of a model's weights.
        data: the datasets, tokenised once :meth:`check` has passed.
        replicas: data-parallel ranks.
        roles: lists of datasets on which its results depend.
        column: whose column of the table of Trainer flags counts.
    """

    def __init__(self, parsed: Parsed, asked: Intent) -> None:
        termination.begin()
        quiet()
        self.parsed, self.name, self.column = parsed, asked.stage, asked.column
        self.roles, self._rules = asked.plan.roles, asked.rules
        self.config = parsed.resolved()
        self.fast_dev_run = bool(self.config["trainer"].get("fast_dev_run"))
        output = temporary_output(parsed.options.output) if self.fast_dev_run else parsed.options.output
        self.folder = RunFolder(output, getattr(parsed.options, "overwrite", False))
        self.folder.mend_tables()
        self._data_files: Record = {}
        self.log_every_n_steps = 50  # Lightning's own; fewer once the number of stages is known
        self.on_cpu = self.shards_weights = False  # until the flags have been checked
        self._built = False
        self.module, self.data, self.trainer_arguments = parsed.build()
        choose_measures(parsed.options, self.module)
        self.data.choose(asked.choice)
        self._trial: L.Trainer | Exception | None = None
        self.replicas = self._count_replicas()
        self.identity = with_effective_batch(
            redacted(self.config, references=False), asked.plan, self.replicas, self.module
        )
        if asked.choice is not None:
            self.identity["forget_set"] = asked.choice.digest

    def _count_replicas(self) -> int:
        try:
            self._trial = trainer = self.build_trainer(logger=[])
        except REFUSALS as error:  # `problems` says it, after whatever else it asks of the flags
            self._trial = error
            return 1
        if trainer.world_size == 1:
            # Lightning takes a rank from SLURM's and torchrun's variables, also where this process is none of theirs.
            rank_zero_only.rank = 0  # type: ignore[attr-defined]
        return trainer.num_devices * trainer.num_nodes

    def take_trial(self) -> L.Trainer:
        """A Trainer that only shows whether the flags make one: the one that told the number of ranks, else a new one.

        Raises:
            Exception: what Lightning says of the flags.
        """
        trial, self._trial = self._trial, None
        if isinstance(trial, Exception):
            raise trial
        return self.build_trainer(logger=[]) if trial is None else trial

    # -- checks ----------------------------------------------------------------------------------------------------

    def check(self, plan: EpisodePlan, problems: Iterable[str] = (), copies: int = 0) -> None:
        """Raise everything that is wrong, before anything is written or stepped on.

        Args:
            plan: what the verb is going to do.
            problems: what the verb itself found.
            copies: how many copies of the weights the verb is going to write.

        Raises:
            ConfigurationError: with all problems of options, model, data, Trainer and output folder.
        """
        found = [*problems, *self.problems(plan)]
        note_data_content(self)
        found += folder_problems(self)
        if not found:
            found += space_problems(self.folder.path, self.module, copies)
        raise_if_any(dict.fromkeys(found))

    def problems(self, plan: EpisodePlan, facts: LanguageModule | None = None) -> list[str]:
        """What is wrong with the model, the optimizer, the data, the plan and the Trainer's flags.

        Args:
            plan: what the verb is going to do.
            facts: stands in for a model that an earlier stage is yet to make.
        """
        self._data_files = take(configured(self.data, self.roles))
        found = model_problems(self.module) if facts is None else lora_problems(self.module.lora)
        found += [*optimizer_problems(self.module, later=facts is not None), *trainer_problems(self)]
        self.data.alternatives_from = getattr(self.module, "alternatives_from", None)
        facts = facts or self.module
        if found and model_problems(facts):
            found += source_problems(self.data)
        else:
            found += data_problems(self.data, facts)
        names = [*self.data.episode_names(plan)]
        if not any(names):
            names = [[c.name or c.path for c in configs] for configs in (self.data.corpora, self.data.test_sets)]
            names[1] += [c.name or c.path for c in self.data.forget]
            names[1] += [] if self.data.choice is None else [self.data.choice.chosen]
        unseen = [name for name in plan.only if name in {c.name for c in self.data.holdout} - {*names[0], *names[1]}]
        found += [
            f"forget: {name!r} is a holdout, on which the model was never trained; name a corpus, or move it to "
            "`data.forget`"
            for name in unseen
        ]
        found += [] if unseen else plan.problems(*names)
        found += stream_problems(self.module, self.data, plan)
        found += [] if found else lost_class_problems(self.data, plan, facts.task, self.module)
        if getattr(self.module, "needs_retain", False):
            found += plan.retain_problems(*names)
        return found + rule_problems(self, self._rules, plan) or length_problems(self, plan)

    def start(self, **run_fields: Any) -> None:
        """Claim the output folder and write down what was asked and what was found in the data."""
        self.folder.claim(self.name, self.config, self.identity)
        self.folder.write_data_record(self.name, with_digests(self._data_files))
        self.folder.add_notes("warning", self.data.notes())
        self.folder.add_notes("info", [f"{self.name}: {line}" for line in self.parsed.said])
        if line := slow_arithmetic(self.trainer_arguments.get("precision"), self.module.dtype_name, self.on_cpu):
            say(f"untrac: warning: {line}")
        notes = flag_notes(self.trainer_arguments, self.column)
        self.folder.add_notes("warning", [f"{self.name}: {note}" for note in notes])
        self._tell_untrained()
        tell_new_head(self)
        self.folder.add_to_run(methods=texts_of([method_of_stage(self.name)]))
        self.folder.update_run(
            data=data_rows(self.data.by_role(), self.module, self.data.report_texts),
            **run_fields,
        )

    def _tell_untrained(self) -> None:
        """Say it where a verb that expects a trained model has been given the configuration of a new one."""
        verb = traits(self.parsed.verb)
        if self.module.config is None or verb.trains or verb.retrains:
            return
        text = (
            f"{self.name}: the model is untrained: `model.config` makes a new one with random weights, and "
            f"{self.folder.path} holds no {verb.starts_from}/; run `untrac pretrain` on the folder first, or give "
            "--model.name_or_path"
        )
        self.folder.add_notes("warning", [text])
        say(f"untrac: warning: {text}")

    def tell_what_stays(self, forget: str) -> None:
        """Say which texts of a forget set stay in corpora, or that no corpus is left beside it.

        Args:
            forget: its name.
        """
        kept = [corpus for corpus in self.data.tokenized_corpora.values() if corpus.name != forget]
        note = kept_texts_note(self.data.tokenized[forget], kept) if kept else NOTHING_STAYS.format(name=forget)
        if note is not None:
            self.tell("warning", note)

    def tell(self, level: str, note: str) -> None:
        """Print what the report is to say too, as a note of level ``info`` or ``warning``."""
        self.folder.add_notes(level, [f"{self.name}: {note}"])
        say(f"{self.parsed.verb}: {note}")

    @property
    def is_done(self) -> bool:
        """Whether this very stage was finished before."""
        return is_finished(self, self.folder)

    def mark_done(self) -> None:
        """Remember that the stage is finished."""
        self.folder.mark_done(self.name, self.identity)

    def finish_episodes(self, attribution: type[Attribution], plan: EpisodePlan) -> bool:
        """Remember that the stage is finished, if every episode is.

        Args:
            attribution: whose episodes they are.
            plan: all of them.

        Returns:
            Whether there is something to show.
        """
        verb = self.parsed.verb
        if self.fast_dev_run:
            say(f"{verb}: fast_dev_run tried each part once and stored nothing")
            return False
        finished = InfluenceStore(self.folder.path).finished_episodes(
            attribution.method, attribution.episode_key, examples=getattr(self.parsed.options, "examples", False)
        )
        asked = plan.episodes(self.data.corpus_names, self.data.test_set_names)
        missing = [episode for episode in asked if (episode.dataset, episode.seed) not in finished]
        if not missing:
            self.mark_done()
            return True
        # `trainer.max_time`, or a callback of the user's that stops.
        left = f"{len(missing)} of {counted(len(asked), 'episode')}"
        say(f"{verb}: stopped with {left} to go; the same command goes on from there")
        return len(missing) < len(asked)

    # -- building --------------------------------------------------------------------------------------------------

    def build_module(self) -> LanguageModule:
        """A module whose weights are not loaded yet; the checked one first, then new ones."""
        if self._built:
            self.module = self.parsed.build_module()  # with the one before, its weights go
        self._built = True
        return self.module

    def build_trainer(self, callbacks: Sequence[Callback] = (), logger: Any = None, **arguments: Any) -> L.Trainer:
        """A new Trainer from the user's flags.

        Args:
            callbacks: the verb's, before the user's.
            logger: used unless the user configured loggers; False for a Trainer that only measures, which is given
                none of the user's loggers and callbacks.
            arguments: what the verb decides.
        """
        return make_trainer(self, callbacks, logger, arguments)

    def build_loggers(self, run_name: str) -> list[Logger]:
        """CSV and, where asked for, W&B."""
        wandb: WandbConfig | None = self.parsed.options.wandb
        return make_loggers(wandb, self.folder.path, self.name, run_name, self.config)


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


def finish_loggers(trainer: L.Trainer) -> None:
    """End W&B runs, so that the next stage's is one of its own."""
    for logger in trainer.loggers:
        if isinstance(logger, SafeWandbLogger):
            logger.finish()
