"""``untrac evaluate``: measure the losses of a saved model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.data import EpisodePlan
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.metrics import DatasetLosses
from lightning_untrac.modules import Evaluation, LanguageModule
from lightning_untrac.results import losses_table, result_console
from lightning_untrac.runs.checks import model_problems
from lightning_untrac.runs.phase import Intent, Phase, finish_loggers, run_trainer
from lightning_untrac.runs.rehearsal import sound
from lightning_untrac.runs.run_folder import DamageWarning
from lightning_untrac.runs.saved_models import files_digest, use_saved_model
from lightning_untrac.tables import LOSSES_SCHEMA, ResultsError, read_table, write_table
from lightning_untrac.tables.locking import locked
from lightning_untrac.tables.recovery import set_aside

if TYPE_CHECKING:
    import pyarrow as pa

STEP = "evaluate"
TABLE = "losses.parquet"


@dataclass
class EvaluateOptions:
    """Measure the losses of a saved model on every corpus and test set, also against another model.

    Attributes:
        output: folder for ``losses.parquet``; its ``model/`` is measured unless ``model.name_or_path`` is given.
        reference: another model (hub name or folder) to subtract.
        examples: also write ``example_losses.parquet``, a row an example.
        wandb: log to Weights & Biases.
        overwrite: throw away what this step left in the folder under other settings.
    """

    output: str
    reference: str | None = None
    examples: bool = False
    wandb: WandbConfig | None = None
    overwrite: bool = False


def arguments(argv: Sequence[str]) -> Parsed:
    """Read the verb's arguments."""
    return parse(STEP, EvaluateOptions, argv, Evaluation)


def intent(parsed: Parsed) -> Intent:
    """What the verb is going to do, and what is wrong with its options."""
    data = parsed.config.data
    missing = "data: neither corpora nor test_sets are given; name at least one dataset to measure"
    return Intent(STEP, EpisodePlan("one"), [] if data.get("corpora") or data.get("test_sets") else [missing])


def main(argv: Sequence[str]) -> None:
    """Run the verb."""
    parsed = arguments(argv)
    sound(STEP, parsed)
    options: EvaluateOptions = parsed.options
    asked = intent(parsed)
    measured = use_saved_model(parsed.config, options.output, "model")
    for folder in (measured, Path(options.reference) if options.reference else None):
        if folder is not None and folder.is_dir():
            files_digest(folder)  # is held against its checksums
    phase = Phase(parsed, STEP)
    # Another model on the same folder adds rows; nothing here is ever a half-finished run.
    phase.folder.overwrite = True
    phase.data.per_example |= options.examples
    phase.check(asked.plan, asked.problems + _reference_problems(phase))
    phase.data.plan = asked.plan
    phase.start()
    name = str(phase.module.name_or_path)
    with phase.folder.costs(STEP):
        losses = measure(phase, phase.build_module(), EXAMPLES if options.examples else None)
        reference = None
        if options.reference is not None:
            module = phase.build_module()
            module.name_or_path, module.config = options.reference, None
            reference = measure(phase, module)
    rows = loss_rows(name, phase.data.evaluation_names, losses, reference)
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return
    save_losses(phase.folder.path / TABLE, rows)
    phase.mark_done()
    print_losses(rows, f"table: {phase.folder.path / TABLE}")


EXAMPLES = "example_losses.parquet"


def _reference_problems(phase: Phase) -> list[str]:
    reference = phase.parsed.options.reference
    if reference is None:
        return []
    module = phase.parsed.build_module()
    module.name_or_path, module.config = reference, None
    return [f"reference: {problem}" for problem in model_problems(module)]


def measure(phase: Phase, module: LanguageModule, examples: str | None = None) -> DatasetLosses:
    """Losses of a module on everything."""
    callbacks = []
    if examples is not None:
        from lightning_untrac.callbacks.example_losses import ExampleLosses

        callbacks.append(ExampleLosses(phase.folder.path / examples))
    trainer = phase.build_trainer(
        callbacks=callbacks, logger=phase.build_loggers(STEP), enable_checkpointing=False, enable_progress_bar=False
    )
    run_trainer(lambda: trainer.validate(module, datamodule=phase.data, verbose=False))
    finish_loggers(trainer)
    assert module.dataset_losses is not None
    return module.dataset_losses.losses().cpu()


def loss_rows(
    model: str, names: Sequence[str], losses: DatasetLosses, reference: DatasetLosses | None
) -> list[dict[str, Any]]:
    """Rows of LOSSES_SCHEMA."""
    rows = []
    for index, name in enumerate(names):
        loss = float(losses.token_loss[index])
        before = float(reference.token_loss[index]) if reference is not None else None
        rows.append(
            {
                "model": model,
                "dataset": name,
                "loss": loss,
                "example_loss": float(losses.example_loss[index]),
                "num_tokens": int(losses.num_tokens[index]),
                "num_examples": int(losses.num_examples[index]),
                "reference_loss": before,
                "difference": loss - before if before is not None else None,
            }
        )
    return rows


def save_losses(path: Path, rows: list[dict[str, Any]]) -> None:
    """Add rows to a table of losses; a model measured again replaces its rows."""
    import pyarrow as pa

    with locked(path.parent):
        _save_losses(path, rows, pa.Table.from_pylist(rows, schema=LOSSES_SCHEMA))


def _save_losses(path: Path, rows: list[dict[str, Any]], table: pa.Table) -> None:
    import pyarrow as pa

    if path.is_file():
        try:
            earlier = [row for row in read_table(path).to_pylist() if row["model"] != rows[0]["model"]]
        except ResultsError as error:
            aside = set_aside(path)
            warnings.warn(
                f"{error} It was moved to {aside.name}, and {path.name} holds the losses of this model alone; run "
                "`untrac evaluate` again for the others",
                DamageWarning,
                stacklevel=2,
            )
            earlier = []
        table = pa.concat_tables([pa.Table.from_pylist(earlier, schema=LOSSES_SCHEMA), table])
    write_table(path, table)


def print_losses(rows: list[dict[str, Any]], where: str) -> None:
    """Print a table of losses and where it is."""
    import pyarrow as pa

    console = result_console()
    console.print(losses_table(pa.Table.from_pylist(rows, schema=LOSSES_SCHEMA), console.width), crop=False)
    console.print(where, soft_wrap=True, highlight=False)
