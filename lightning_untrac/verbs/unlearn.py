"""``untrac unlearn``: forget one dataset for good and keep the result."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_untrac.callbacks import (
    CollapseGuard,
    EpisodeProgress,
    InfluenceLogger,
    MeasureRecorder,
    SavePretrained,
    WeightsMustMove,
)
from lightning_untrac.callbacks.episode_callbacks import episode_callbacks
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.data.config import NAME_PATTERN
from lightning_untrac.forgetting import ForgettingMethod
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics.measure import DEFAULT_MEASURES
from lightning_untrac.metrics.needs import given_by, measure_problems
from lightning_untrac.modules import Unlearning
from lightning_untrac.naming import counted, named_method
from lightning_untrac.results.model_card import CARD
from lightning_untrac.runs.answers import show_answers
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checkpoints import (
    CHECKPOINT_COPIES,
    OBJECTIVE_COPIES,
    ResumeCheckpoints,
    after_success,
    last_checkpoint,
)
from lightning_untrac.runs.checks import episode_problems
from lightning_untrac.runs.collateral import predict_collateral
from lightning_untrac.runs.coreset import run_name, share_problems
from lightning_untrac.runs.forget_set import chosen_examples, tell_texts, write_choice
from lightning_untrac.runs.forget_text import NAME, ForgetTexts, as_it_stands
from lightning_untrac.runs.forgetting import Course
from lightning_untrac.runs.measuring import is_measured, quote_survivors, show_summary, tell_measures
from lightning_untrac.runs.model_cards import add_model_card
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.run_folder import DamageWarning
from lightning_untrac.runs.saved_models import damage_of, files_digest, use_saved_model
from lightning_untrac.runs.stage import Stage, finish_loggers, run_trainer
from lightning_untrac.runs.stopping import Ending, asked_rules, ending, shows_unseen, tell_ending
from lightning_untrac.runs.strongest import with_strongest
from lightning_untrac.runs.surroundings import say
from lightning_untrac.runs.trained_with import as_trained
from lightning_untrac.runs.training_time import timed
from lightning_untrac.tables import InfluenceRow
from lightning_untrac.verb import Arguments, Traits


@dataclass
class UnlearnOptions:
    """Forget a dataset, a question or a text, by gradient ascent or another objective, and keep the model.

    Attributes:
        output: folder for ``unlearned-<forget>/`` (a transformers folder; ``unlearned-<forget>-chosen/`` where examples
            are chosen), ``measurements.parquet`` and ``summary.parquet``; its ``model/`` is unlearned from unless
            ``model.name_or_path`` is given.
        forget: name of the corpus or test set to forget, or ``strongest of <test set>``, the corpus that a trace of the
            folder found strongest; of what ``forget_text`` gives, by default ``text``.
        forget_text: a question or a text to forget, or a list of them: of a question, which ends in a question mark,
            the model's own answer, in its chat template where it has one; of anything else the text itself.
        retain_texts: a text file of questions and texts that are to stay, a line each; by default neutral ones that
            ship. Half of them are stepped on, unless there are corpora, and half only measured.
        forget_examples: forget only these examples of the corpus: a text file with a content hash or a row number a
            line. The others stay in it.
        forget_top: forget only so many examples of the corpus, those of the largest influence in ``examples.parquet``
            of the same folder.
        forget_top_of: the test set on which their influence counts.
        forget_top_method: the method whose influences count, where the table holds those of several.
        forget_share: unlearn with a random part of the forget set, such as 0.05, and measure all of it: of whole
            groups, where the dataset names any. The model is ``unlearned-<forget>-coreset/``.
        objective: the forget term by its short name, such as npo; the same as ``model.unlearning_objective.forget``.
        method: a way of unlearning that is more than an objective, by its short name, such as task_vector, or by class
            path; its settings are ``method.NAME``.
        retain: retain terms by their short names, such as kl, separated by commas or in a list.
        retain_weight: their weights, in the same order; 1 each by default.
        name: what this run is called beside others of the same forget set: the model is ``unlearned-<forget>-<name>/``,
            and another objective, seed or learning rate can be tried in the same folder.
        seed: seed of the data order.
        steps: optimizer steps of forgetting; None for ``passes``.
        passes: passes over the forgotten dataset (of ``finetune`` over those that stay); 1 by default.
        until_rise: forgetting ends before its last step once the loss has gone this share of the way to that of a
            uniform guess; by default .5 where objective, steps and passes are left to us, or a text is forgotten (in
            at most 64 steps) and steps and passes are left to us; elsewhere never.
        heal_steps: further steps on retained data alone, at six times the learning rate of forgetting, which falls to
            0; by default 80 where a dataset is forgotten and the objective is left to us, else none.
        measures: what is measured, example by example before and after and in sum at every reading: names separated by
            commas or in a list, or class paths of your own measures; in a list also with settings, `{class_path:
            leak_at_k, init_args: {k: 2}}`.
        readings: how many readings of all datasets there are, evenly spread, or a list of optimizer steps.
        collapse_cap: loss in nats per token at which unlearning stops; by default twice that of a uniform guess, of a
            classifier ten times.
        stop_at_holdout: stop at the reading at which the forget set's loss has reached that of ``data.holdout``; by
            default where there is a holdout.
        stop_at: stop where a measure has reached a value: ``memorisation_accuracy<=0.3`` of the forget set, or
            ``loss/news>=2.3`` of another dataset; several in a list, of which the first that is met counts.
        stop_at_retained_rise: stop where the loss of the corpora that stay has been above its start by more than so
            many nats per token at ``stop_patience`` readings in a row.
        stop_patience: how many readings that are.
        predict: say before the first step which other datasets' losses will rise with the forget set's, by gradients of
            a few examples of each; the report holds it against what came.
        checkpoint_every: save a checkpoint to resume from every so many optimizer steps, and when the process is asked
            to end; by default there is none but of a method that asks for some, and an interrupted run begins anew.
        keep_checkpoints: whether the newest two stay when the model is saved; nothing here reads them then.
        wandb: watch the run in Weights & Biases.
        overwrite: throw away what this stage left in the folder under other settings.
    """

    output: str
    forget: str | None = None
    forget_text: str | list[str] | None = None
    retain_texts: str | None = None
    forget_examples: str | None = None
    forget_top: int | None = None
    forget_top_of: str | None = None
    forget_top_method: str | None = None
    forget_share: float | None = None
    objective: str | None = None
    method: ForgettingMethod | None = None
    retain: str | list[str] | None = None
    retain_weight: float | list[float] | None = None
    name: str | None = None
    seed: int = 0
    steps: int | None = None
    passes: float | None = None
    until_rise: float | None = None
    heal_steps: int | None = None
    measures: str | list[str | dict[str, Any]] = DEFAULT_MEASURES
    readings: int | list[int] = 8
    collapse_cap: float | None = None
    stop_at_holdout: bool | None = None
    stop_at: str | list[str] | None = None
    stop_at_retained_rise: float | None = None
    stop_patience: int = 3
    predict: bool = True
    checkpoint_every: int | None = None
    keep_checkpoints: bool = False
    wandb: WandbConfig | None = None
    overwrite: bool = False


def _models(folder: Path, stage: str) -> list[Path]:
    return [folder / f"unlearned-{stage.removeprefix('unlearn-')}"]


TRAITS = Traits(UnlearnOptions, Unlearning, models=_models)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return with_strongest(
        parse("unlearn", UnlearnOptions, as_trained(as_it_stands(argv), only_measures=True), Unlearning)
    )


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: UnlearnOptions = parsed.options
    texts, chosen = ForgetTexts.of(parsed), chosen_examples(options, _forget_set(options))
    if texts is not None:
        texts.put_into(parsed.config.data)
    forget = chosen.forget_set(_forget_set(options))
    course = _course(parsed, forget)
    length: dict[str, Any] = {"steps": options.steps, "passes": options.passes, **course.plan_fields}
    length["share"] = options.forget_share
    plan = EpisodePlan(seeds=(options.seed,), only=(forget,), **length)
    problems = [*episode_problems(options), *chosen.problems, *course.problems, *(texts.problems if texts else ())]
    problems += share_problems(options)
    if texts is None and options.forget is None:
        problems.append("forget: not given; name a dataset, or give a question or a text as forget_text")
    if texts is None and options.retain_texts is not None:
        problems.append("retain_texts: belongs to forget_text; give that too, or name what stays as data.corpora")
    problems += measure_problems(options.measures, Unlearning.gives("fit") | given_by(parsed.config.data))
    if options.checkpoint_every is not None and options.checkpoint_every < 1:
        problems.append(f"checkpoint_every: {options.checkpoint_every}; give at least 1 step")
    if options.name is not None and not NAME_PATTERN.fullmatch(options.name):
        problems.append(
            f"name: {options.name!r} can't be a file name; use letters, digits, '.', '-' and '_' (100 at most, "
            "beginning with a letter or digit)"
        )
    own_rule = options.method is not None and options.method.stops
    rules, more = asked_rules(options, forget, [] if own_rule else parsed.config.data.get("holdout") or ())
    return Intent(f"unlearn-{_of_run(forget, options)}", plan, problems + more, "unlearn", chosen.choice, rules)


def _course(parsed: Parsed, forget: str) -> Course:
    unseen = shows_unseen(forget, parsed.config.data.get("holdout") or ())
    return Course.of(parsed.options, parsed.config.model, unseen)


def _forget_set(options: UnlearnOptions) -> str:
    return NAME if options.forget is None else options.forget


def _checkpoint_every(options: UnlearnOptions) -> int | None:
    if options.checkpoint_every is None and options.method is not None:
        return options.method.checkpoint_every
    return options.checkpoint_every


def _of_run(forget: str, options: UnlearnOptions) -> str:
    return forget if (name := run_name(options)) is None else f"{forget}-{name}"


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: UnlearnOptions = parsed.options
    start = use_saved_model(parsed.config, options.output, "model")
    asked = intent(parsed)
    (forget,) = asked.plan.only
    stage = Stage(parsed, asked)
    if (texts := ForgetTexts.of(parsed)) is not None:
        stage = texts.answered(stage, asked)
    if start is not None:
        stage.identity["model_files"] = files_digest(start)
    result = stage.folder.path / f"unlearned-{_of_run(forget, options)}"
    checkpoints, every = stage.folder.path / "checkpoints" / stage.name, _checkpoint_every(options)
    if (done := stage.is_done) and (damaged := damage_of(result)):
        stage.folder.forget_done(stage.name)
        warnings.warn(f"{'; '.join(damaged)}: it is unlearned again", DamageWarning, stacklevel=2)
        done = False
    course = _course(parsed, forget)
    if options.method is not None:
        options.method.writes_to(result)
    chose = course.settle(stage.module)
    way = course.way(stage.module)
    method = named_method(f"unlearn:{way}", run_name(options))
    if done and not is_measured(stage.folder.path, method, forget, options.seed):
        stage.folder.forget_done(stage.name)
        warnings.warn(f"what {stage.name} measured is gone: it is unlearned again", DamageWarning, stacklevel=2)
        done = False
    if done:
        say(f"unlearn: finished already; the model is in {result}")
        return
    kept = OBJECTIVE_COPIES if course.keeps_weights(stage.module) else 0
    chosen = chosen_examples(options, _forget_set(options))
    problems = [*asked.problems, *chosen.missing, *course.module_problems(stage.module, stage.replicas)]
    stage.check(asked.plan, problems, copies=CHECKPOINT_COPIES + kept if every else 1)
    stage.data.plan = asked.plan
    stage.start()
    stage.tell_what_stays(forget)
    stage.folder.add_notes("warning", list(chosen.notes))
    tell_texts(stage, forget, memorised=course.counts_memorised)
    stage.folder.add_notes("info", list(texts.notes) if texts else [])
    write_choice(stage, forget)
    tell_measures(stage, options.measures, {method: named_method(f"Unlearning by {way}", run_name(options))})
    if chose:
        say(f"unlearn: {', '.join(chose)}")
    readings = InfluenceLogger(None, method="unlearn")
    recorder = MeasureRecorder(stage.folder.path, options.measures, method=method, result=str(result))
    trainer = stage.build_trainer(
        callbacks=episode_callbacks(
            [timed(stage.folder, result), EpisodeProgress("unlearn"), WeightsMustMove()],
            [
                *asked.rules,
                readings,
                recorder,
                SavePretrained(result),
                *([ResumeCheckpoints(checkpoints, every)] if every else []),
            ],
            options.readings,
            CollapseGuard(options.collapse_cap),
            course=course.callbacks(stage.module),
        ),
        logger=stage.build_loggers(stage.name),
        max_epochs=1,
        **({} if every else {"enable_checkpointing": False}),
    )
    last = last_checkpoint(checkpoints, trainer, stage.data) if every else None
    predict_collateral(stage, forget, method, options.seed, options.predict)
    with stage.folder.costs(stage.name):
        run_trainer(
            lambda: trainer.fit(
                stage.build_module(), datamodule=stage.data, ckpt_path=last, weights_only=True if last else None
            )
        )
    if stage.fast_dev_run:
        say("unlearn: fast_dev_run tried each part once and stored nothing")
        return
    if texts is not None:
        show_answers(stage, texts, str(result))
    if trainer.is_global_zero:
        quote_survivors(stage, forget)
        final, ended = next(row for row in reversed(readings.rows) if row.final), ending(trainer)
        notes = course.notes
        _show(stage, final, recorder, str(result), ended, notes, [*course.doubts, *_of_draws(stage.module)])
        add_model_card(stage, trainer, result, method, options.seed, "; ".join([way, *notes]), ended, final.status)
    stage.mark_done()
    if trainer.is_global_zero:
        after_success(checkpoints, keep=options.keep_checkpoints)
    finish_loggers(trainer)


def _of_draws(module: Any) -> list[str]:
    """What a user should know of the model's own answers, where an objective draws some."""
    found: list[str] = module.own_answers.doubts
    return found


def _show(stage: Stage, final: InfluenceRow, recorder: MeasureRecorder, result: str, ended: Ending,
          notes: Sequence[str], doubts: Sequence[str]) -> None:  # fmt: skip
    if final.status != "ok":
        what = f"the model ended {final.status} after {counted(final.step, 'step')}"
        stage.tell("warning", f"{what}; take fewer, or a lower learning rate")
    for note in notes:
        stage.tell("info", note)
    for doubt in doubts:
        stage.tell("warning", doubt)
    tell_ending(stage, ended)
    say(f"model: {result}, with a card of what was done to it ({CARD})")
    show_summary(stage, [row for row in recorder.summary if row["step"] in (0, final.step)])
