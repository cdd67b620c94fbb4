"""``trace`` with methods that score corpora in one go, without episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.attribution import METHODS
from lightning_untrac.attribution.scoring import Scoring, ScoringRun, score_rows
from lightning_untrac.attribution.training_record import training_folder
from lightning_untrac.config.parsing import Parsed
from lightning_untrac.console import console
from lightning_untrac.fanout.episode_work import publish_matrix
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.output import show_influences
from lightning_untrac.runs.stage import Stage, run_trainer
from lightning_untrac.runs.surroundings import say
from lightning_untrac.tables import InfluenceStore


def missing_of_training(parsed: Parsed) -> list[str]:
    """What a method needs of the model's training and does not find; asked for once the model is there.

    Args:
        parsed: the verb's arguments.
    """
    training = training_folder(parsed.config.model.init_args.get("name_or_path"), Path(parsed.options.output))
    return _scoring(parsed).problems(training)


def _scoring(parsed: Parsed) -> Scoring:
    method = METHODS.find(parsed.options.method)()
    assert isinstance(method, Scoring)
    return method


def carry_out_scoring(parsed: Parsed, asked: Intent, stage: Stage, fields: Any) -> None:
    """Check everything, score, and show the result.

    Args:
        parsed: the verb's arguments.
        asked: what the verb is going to do.
        stage: its model, data and Trainers.
        fields: makes what is added to ``run.json``, once the data are known.

    Raises:
        ConfigurationError: with all problems, before anything is computed.
    """
    options = parsed.options
    scoring = _scoring(parsed)
    if stage.is_done:
        say(f"trace ({options.method}): finished already")
        show_influences(stage.folder, options.method)
        return
    stage.check(asked.plan, [*asked.problems, *missing_of_training(parsed)])
    stage.data.plan = asked.plan
    stage.start(**fields())
    run = ScoringRun(
        stage.folder.path,
        stage.build_module,
        stage.build_trainer,
        stage.data,
        max_examples=options.max_examples,
        progress=_progress if stage.config["trainer"].get("enable_progress_bar") is not False else _silent,
    )
    with stage.folder.costs(asked.stage):
        rows = run_trainer(lambda: score_rows(scoring, run, options.seeds))
    if stage.fast_dev_run:
        say("trace: fast_dev_run tried each part once and stored nothing")
        return
    rank_zero_only(InfluenceStore(stage.folder.path).append)(rows)
    stage.mark_done()
    rank_zero_only(publish_matrix)(options.wandb, stage.folder, options.method, asked.stage)
    show_influences(stage.folder, options.method, stage.data.corpus_names, stage.data.test_set_names)


def _progress(items: Sequence[Any], title: str) -> Iterator[Any]:
    from rich.progress import track

    terminal = console(stderr=True)
    if not terminal.is_terminal:
        terminal.print(title, soft_wrap=True, highlight=False)
    yield from track(items, title, total=len(items), console=terminal, disable=not terminal.is_terminal)


def _silent(items: Sequence[Any], title: str) -> Iterator[Any]:
    yield from items
