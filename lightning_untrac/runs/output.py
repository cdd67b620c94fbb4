"""What a verb shows at its end: tables in the terminal, plots on disk, and the same in W&B."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as L
from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.loggers import SafeWandbLogger, WandbConfig, make_loggers
from lightning_untrac.results import (
    InfluenceIntervals,
    InfluenceMatrix,
    influence_intervals,
    influence_matrix,
    matrix_table,
    plot_matrix,
    result_console,
)
from lightning_untrac.results.self_check import self_check, self_check_sentence, without_self_sets
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.tables import InfluenceStore
from lightning_untrac.tables.ledger import LEDGER


def order_of(folder: RunFolder) -> tuple[list[str], list[str]]:
    """Names of the corpora and test sets, in the order in which they were configured."""
    data = folder.facts().get("data", [])
    return [d["name"] for d in data if d["role"] == "corpus"], [d["name"] for d in data if d["role"] == "test set"]


def matrix_of(folder: RunFolder, method: str, corpora: Sequence[str] = (), test_sets: Sequence[str] = ()) -> Any:
    """The matrix of a method, corpora and test sets in their configured order."""
    if not corpora:
        corpora, test_sets = order_of(folder)
    return influence_matrix(
        InfluenceStore(folder.path).table(), method, corpora=list(corpora) or None, test_sets=list(test_sets) or None
    )


def intervals_of(folder: RunFolder, matrix: InfluenceMatrix) -> InfluenceIntervals | None:
    """The intervals of a matrix, in its order; None where its method has none."""
    return influence_intervals(
        InfluenceStore(folder.path).table(), matrix.method, corpora=matrix.corpora, test_sets=matrix.test_sets
    )


@rank_zero_only
def show_influences(folder: RunFolder, method: str, corpora: Sequence[str] = (), test_sets: Sequence[str] = ()) -> None:
    """Print the matrix and where it is."""
    console = result_console()
    matrix = matrix_of(folder, method, corpora, test_sets)
    asked = without_self_sets(matrix)
    console.print(matrix_table(asked, intervals_of(folder, asked), console.width), crop=False)
    if (check := self_check(matrix)) is not None:
        console.print(self_check_sentence(check, method), style="" if check.passed else "yellow")
    console.print(f"table: {folder.path / 'influence.parquet'}", soft_wrap=True, highlight=False)


def log_influences(
    trainer: L.Trainer, folder: RunFolder, method: str, corpora: Sequence[str], test_sets: Sequence[str]
) -> None:
    """Send the matrix, as a table and as a picture, and the result files to W&B."""
    loggers = [logger for logger in trainer.loggers if isinstance(logger, SafeWandbLogger)]
    if not loggers:
        return
    from lightning_untrac.results.figures import save_figure

    matrix = matrix_of(folder, method, corpora, test_sets)
    picture = save_figure(plot_matrix(matrix), folder.path / "plots" / f"matrix_{method}.png")
    rows = [[corpus, *map(float, values)] for corpus, values in zip(matrix.corpora, matrix.values, strict=True)]
    for logger in loggers:
        logger.log_matrix(f"matrix/{method}", ["corpus", *matrix.test_sets], rows)
        logger.log_results(folder.path, {}, [picture])


def parquet_files(folder: Path) -> dict[str, Path]:
    """The result tables of a folder, by the key that they have in W&B."""
    # A row an example is too much for a W&B table; those files are in the artifact.
    large = ("examples", "measurements", "distances", "judged_examples", "judged_latent", "memorisation")
    found = [path for path in sorted(folder.glob("*.parquet")) if not path.name.endswith(LEDGER)]
    return {f"tables/{path.stem}": path for path in found if path.stem not in large}


@rank_zero_only
def publish(wandb: WandbConfig | None, folder: RunFolder, verb: str) -> None:
    """Send everything that a folder holds to W&B, from a verb that fits nothing."""
    if wandb is None:
        return
    for logger in make_loggers(wandb, folder.path, verb, verb, folder.facts()):
        if isinstance(logger, SafeWandbLogger):
            logger.log_results(folder.path, parquet_files(folder.path), sorted((folder.path / "plots").glob("*.png")))
            logger.finish()
