"""``untrac judge``: hold unlearned models against those that were retrained without the forget set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.examinations.judgement import Judging, judge_models
from lightning_untrac.examinations.named import Suite, suite_of
from lightning_untrac.functional.latent_plane import Projection
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics.measure import DEFAULT_MEASURES, MeasureNeed
from lightning_untrac.metrics.needs import given_by, measure_problems
from lightning_untrac.modules import Evaluation
from lightning_untrac.runs.asked import Intent
from lightning_untrac.runs.checks import lost_needs
from lightning_untrac.runs.compared import compared_models
from lightning_untrac.runs.forget_set import chosen_before, other_choices
from lightning_untrac.runs.latent import projection_problems
from lightning_untrac.runs.membership import attack_problems
from lightning_untrac.runs.memorisation_options import SequenceOptions, memorisation_problems
from lightning_untrac.runs.memorised_data import KNOWN, LOSS
from lightning_untrac.runs.neighbouring import Proposer
from lightning_untrac.runs.outliers import LevelOf
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.saved_models import use_saved_model
from lightning_untrac.runs.stage import Stage
from lightning_untrac.runs.strongest import with_strongest
from lightning_untrac.runs.trained_with import as_trained
from lightning_untrac.verb import Arguments, Traits


@dataclass
class JudgeOptions:
    """Hold unlearned models of a forget set against models that were retrained without it (``untrac retrain``).

    Attributes:
        output: folder with ``model/`` (the original), ``unlearned-<forget>*/`` and ``retrained-<forget>/``, and for
            ``distances.parquet`` (a row an example) and ``judgements.parquet``.
        forget: name of the forget set, or ``strongest of <test set>``; ``<corpus>-chosen`` where examples of a corpus
            were chosen.
        models: the unlearned models, folders or names of folders in the output folder; by default all of this forget
            set that are there.
        measures: what is measured of each model, example by example, and done to it: sets (`quick`, `standard`, `full`,
            `extraction`, `membership`, `robustness`, ...), names of measures and examinations, or class paths of your
            own, separated by commas or in a list; in a list also with settings, `{class_path: leak_at_k, init_args:
            {k: 2}}`.
        examples: read packed corpora example by example, so that a row is an example and not a block.
        level: what the level of unseen text is, outside of which a sequence is a survivor or over-forgotten: what the
            retrained models know of the very same sequence (``sequence``, the default from two retrained models on), of
            the whole forget set (``retrained``), of its unseen twins in a holdout (``twins``), or what the model at
            hand itself knows of its unseen twins (``own``).
        by_group: every group of the forget set (``group`` of a dataset) has a level of its own, and the twins of its
            group.
        memorisation: the measure by which survivors are counted; of a classifier of whole texts the loss, unless it is
            told otherwise.
        neighbours: how many copies with some tokens replaced each sequence of the forget set and its twins is held
            against, so many more passes over both; 0 leaves the attack out, unless a set of measures has it.
        neighbours_from: what proposes the other tokens: the first retrained model, the original, or how often a token
            stands in the retained corpora.
        attacks: measures by which an attacker tells the forget set from its unseen twins, beside the loss: names of any
            that say how well a text is known, such as `zlib,min_k,min_k_plus_plus,reference_loss`, in a list also with
            settings; those of the set `membership` are attacks anyway.
        projection: how the picture of a classifier's latent space is made: the plane of most variance (``pca``), or a
            curved map that keeps neighbours together (``umap``, whose first call takes a minute or more).
        wandb: send the tables and pictures to Weights & Biases.
    """

    output: str
    forget: str
    models: list[str] | None = None
    measures: str | list[str | dict[str, Any]] = DEFAULT_MEASURES
    examples: bool = False
    level: LevelOf | None = None
    by_group: bool = False
    memorisation: str = KNOWN
    neighbours: int = 0
    neighbours_from: Proposer = "retrained"
    attacks: str | list[str | dict[str, Any]] = LOSS
    projection: Projection = "pca"
    wandb: WandbConfig | None = None


TRAITS = Traits(JudgeOptions, Evaluation, repeats=True)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return with_strongest(parse("judge", JudgeOptions, as_trained(argv, only_measures=True), Evaluation))


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    options: JudgeOptions = parsed.options
    plan = EpisodePlan("one", only=(options.forget,))
    choice, _ = chosen_before(options.output, options.forget)
    given = _given(parsed)
    suite, problems = _suite(parsed)
    problems += measure_problems(suite.measures, given) if suite.measures and not problems else []
    problems += attack_problems(options.attacks, given)
    problems += memorisation_problems(options.memorisation, options.neighbours)
    problems += projection_problems(options.projection)
    return Intent(f"judge-{options.forget}", plan, problems, "evaluate", choice)


def _given(parsed: Parsed) -> frozenset[MeasureNeed]:
    of_original: frozenset[MeasureNeed] = frozenset({"reference_log_probs"})
    return Evaluation.gives("validate") | given_by(parsed.config.data) | of_original


def main(argv: Arguments) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(parsed)
    options: JudgeOptions = parsed.options
    asked = intent(parsed)
    use_saved_model(parsed.config, options.output, "model")
    stage = Stage(parsed, asked)
    stage.folder.overwrite = True  # its tables are written anew each time, from passes that are kept
    stage.data.per_example |= options.examples
    original = str(stage.module.name_or_path)
    datasets = [one.name or one.path for one in (*stage.data.corpora, *stage.data.test_sets, *stage.data.forget)]
    there = Path(options.output)  # a trial's results go elsewhere
    models, problems = compared_models(there, options.forget, options.models, original, datasets)
    choice, missing = chosen_before(options.output, options.forget)
    if choice is not None and not missing:
        missing = other_choices(options.output, choice, models.unlearned)
    stage.data.plan = asked.plan
    suite, _ = _suite(parsed)
    judging = Judging(options.forget, suite, how(options, suite), options.projection, options.wandb)
    judge_models(stage, models, judging, [*asked.problems, *problems, *missing])


def _suite(parsed: Parsed) -> tuple[Suite, list[str]]:
    """What is asked for, and what is wrong with it."""
    suite, problems = suite_of(parsed.options.measures, judges=True)
    suite.without_needs(_given(parsed) - lost_needs(parsed.config.trainer))
    return suite, problems


def how(options: JudgeOptions, suite: Suite) -> SequenceOptions:
    """The verb's options about single sequences, with the attacks of its sets."""
    attacks = options.attacks.split(",") if isinstance(options.attacks, str) else list(options.attacks)
    plain = {one.strip() for one in attacks if isinstance(one, str)}
    return SequenceOptions(
        options.level,
        options.by_group,
        options.memorisation,
        options.neighbours or suite.neighbours,
        options.neighbours_from,
        [*attacks, *(one for one in suite.attacks if one not in plain)],
    )
