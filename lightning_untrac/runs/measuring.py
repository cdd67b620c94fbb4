"""What every verb that measures a model says: which measures, in which words, and what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.callbacks import Callback

from lightning_untrac.callbacks import MeasureRecorder
from lightning_untrac.callbacks.measuring_progress import MeasuringProgress
from lightning_untrac.data.report_texts import beginnings
from lightning_untrac.metrics import find_measures
from lightning_untrac.metrics.measure import Named
from lightning_untrac.modules import LanguageModule
from lightning_untrac.results import result_console, summary_table
from lightning_untrac.results.canaries import canary_lines
from lightning_untrac.results.measured import find_measured, main_measure, survivors
from lightning_untrac.results.measured_sections import SURVIVORS
from lightning_untrac.results.measures import measure_text, measure_texts
from lightning_untrac.results.methods import MethodText, describe_method, texts_of
from lightning_untrac.runs.stage import Stage, finish_loggers, run_trainer
from lightning_untrac.tables import ResultsError
from lightning_untrac.tables.measurements import MEASUREMENTS, SUMMARY, read_measurements, read_summary


def tell_measures(stage: Stage, measures: str | Iterable[Named], methods: Mapping[str, str] | None = None) -> None:
    """Write into the run folder what the report is to call measures and methods; call it after ``Stage.start``.

    Args:
        stage: the verb's.
        measures: as the user named them.
        methods: name in the tables to title, of what makes a model.
    """
    for method, title in (methods or {}).items():
        describe_method(method, MethodText(title))
    names = [measure.name for measure in find_measures(measures)]
    stage.folder.add_to_run(measures=measure_texts(names), methods=texts_of(methods or {}))
    blocks = [part.name for part in stage.data.evaluation_data().parts if part.name in stage.data.tokenized_corpora]
    if blocks and stage.data.block_size is not None and not (stage.data.per_example or stage.module.is_seq2seq):
        text = (
            f"{stage.name}: the corpora are packed, so that a row of {MEASUREMENTS} is a block of "
            f"{stage.data.block_size} tokens; --data.per_example true measures examples"
        )
        stage.folder.add_notes("info", [text])


def measure(stage: Stage, module: LanguageModule, recorder: MeasureRecorder) -> list[dict[str, Any]]:
    """Measure a module as it is on everything that the plan reads.

    Args:
        stage: the verb's.
        module: whose weights may not be loaded yet.
        recorder: says what is measured, and writes the tables.

    Returns:
        Rows of ``summary.parquet``; none on ranks but the first.
    """
    trainer = stage.build_trainer(
        callbacks=[MeasuringProgress(stage.parsed.verb), recorder],
        logger=stage.build_loggers(stage.name),
        enable_checkpointing=False,
        **reading_flags(recorder, module),
    )
    run_trainer(lambda: trainer.validate(module, datamodule=stage.data, verbose=False))
    finish_loggers(trainer)
    return recorder.summary


def examples_of(folder: Path, model: str) -> list[dict[str, Any]]:
    """What was measured of a model as it is, a row an example and measure.

    Args:
        folder: of the run.
        model: as the tables name it.
    """
    import pyarrow.compute as pc

    table = read_measurements(folder)
    if table is None:
        return []
    own = pc.and_(pc.equal(table["model"], model), pc.equal(table["method"], "evaluate"))
    return list(table.filter(own).select(["measure", "dataset", "value", "weight"]).to_pylist())


def only_measure(stage: Stage, module: L.LightningModule, data: L.LightningDataModule, recorder: Callback) -> None:
    """Validate a module with a Trainer that keeps no logs and no checkpoints.

    Args:
        stage: the verb's.
        module: what runs one model or two.
        data: what is read.
        recorder: keeps what is measured.
    """
    trainer = stage.build_trainer(
        callbacks=[MeasuringProgress(stage.parsed.verb), recorder],
        logger=False,
        enable_checkpointing=False,
        **reading_flags(recorder, module),
    )
    run_trainer(lambda: trainer.validate(module, datamodule=data, verbose=False))


def reading_flags(recorder: Callback, module: L.LightningModule) -> dict[str, bool]:
    """What measures ask of a Trainer that reads: in inference mode nothing has a gradient.

    Args:
        recorder: may have ``measures``, and of two models also ``of_reference``.
        module: may have ``measures``, or run a ``module`` that has.
    """
    owners = (recorder, module, getattr(module, "module", None))
    measures = [measure for owner in owners for measure in getattr(owner, "measures", ())]
    measures += getattr(recorder, "of_reference", ())
    return {"inference_mode": False} if any("gradients" in measure.needs for measure in measures) else {}


def show_summary(stage: Stage, rows: list[dict[str, Any]], names: tuple[str, str] = ("before", "after")) -> None:
    """Print what was measured, and where the tables are.

    Args:
        stage: the verb's.
        rows: of ``summary.parquet``, of one or two models.
        names: what two models are called.
    """
    console = result_console()
    console.print(summary_table(rows, console.width, names), crop=False)
    for sentence in canary_lines(rows):
        console.print(sentence, soft_wrap=True, highlight=False)
    where = f"tables: {stage.folder.path / SUMMARY}, {stage.folder.path / MEASUREMENTS}"
    console.print(where, soft_wrap=True, highlight=False)


def quote_survivors(stage: Stage, forget_set: str) -> None:
    """Write into ``run.json`` how the least changed examples of a forget set begin, for the report.

    Args:
        stage: the verb's; ``data.report_texts: 0`` quotes nothing.
        forget_set: what was unlearned.
    """
    facts = stage.folder.facts()
    measured = find_measured(stage.folder.path, facts)
    part = next((part for part in stage.data.evaluation_data().parts if part.name == forget_set), None)
    if not stage.data.report_texts or measured is None or part is None:
        return
    chosen = set[int]()
    for run in measured.runs:
        changes = run.changes.get((main_measure(run), forget_set))
        if run.forget_set == forget_set and changes is not None:
            places = survivors(changes, measure_text(main_measure(run)).forgetting, SURVIVORS)
            chosen |= {int(changes.examples[place]) for place in places}
    indices = sorted(index for index in chosen if index < len(part))
    texts = beginnings(part, stage.module.tokenizer, indices, stage.module.is_seq2seq)
    quoted = {str(index): text for index, text in zip(indices, texts, strict=True)}
    stage.folder.add_to_run(example_texts={forget_set: quoted})


def is_measured(folder: Path, method: str, forget_set: str, seed: int) -> bool:
    """Whether both tables hold what a run has measured; not where one of them is gone or damaged.

    Args:
        folder: of the run.
        method: as in the tables.
        forget_set: what was unlearned.
        seed: of the data order.
    """
    import pyarrow.compute as pc

    try:
        tables = [read_summary(folder), read_measurements(folder)]
    except ResultsError:
        return False
    for table in tables:
        if table is None:
            return False
        mine = pc.and_(pc.equal(table["method"], method), pc.equal(table["forget_set"], forget_set))
        if not pc.any(pc.and_(mine, pc.equal(table["seed"], seed))).as_py():
            return False
    return True
