"""``untrac compare``: correlate every method with the ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.attribution import METHODS
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.errors import problems_of, raise_if_any
from lightning_untrac.functional import Readout
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.results import compare, comparison_table, in_configured_order, result_console
from lightning_untrac.runs.output import publish
from lightning_untrac.runs.run_folder import RunFolder, existing_folder
from lightning_untrac.tables import InfluenceStore, write_table
from lightning_untrac.verb import Arguments, Traits


@dataclass
class CompareOptions:
    """Correlate the influences of every method with leave-out retraining, with bootstrap intervals.

    Attributes:
        output: folder of the run; ``comparison.parquet`` is written there.
        reference: the method that counts as the truth.
        methods: the methods to compare; all that are in the table where None.
        num_resamples: bootstrap resamples of the corpora.
        seed: seed of the resamples.
        readout: how influences are read from the stored losses; methods without losses keep their own.
        wandb: send the comparison to Weights & Biases.
    """

    output: str
    reference: str = "leave_out"
    methods: list[str] | None = None
    num_resamples: int = 2000
    seed: int = 0
    readout: Readout = "difference"
    wandb: WandbConfig | None = None


TRAITS = Traits(CompareOptions)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return parse("compare", CompareOptions, argv, None)


def option_problems(options: CompareOptions) -> list[str]:
    """What is wrong with the options, also where the table is yet to be made."""
    found = []
    if options.num_resamples < 0:
        found.append(f"num_resamples: {options.num_resamples}; give a number of at least 0")
    store = InfluenceStore(options.output)
    for key, names in (("reference", [options.reference]), ("methods", options.methods or [])):
        if strange := [name for name in names if name not in METHODS]:
            stored = store.table()["method"].unique().to_pylist() if store.path.exists() else []
            asked = [name for name in strange if name not in stored]
            found += problems_of(lambda key=key, asked=asked: METHODS.find_all(asked, key))  # type: ignore[misc]
    return found


def _name(method: str) -> str:
    """What the tables call a method that may be given by its class path."""
    return METHODS.find(method).method if "." in method else method


@rank_zero_only  # in a recipe on several ranks all of them come by
def main(argv: Arguments) -> None:
    """Run the verb."""
    options: CompareOptions = arguments(argv).options
    raise_if_any(option_problems(options))
    folder = RunFolder(options.output)
    existing_folder(folder.path)
    with folder.costs("compare"):
        comparison = compare(
            in_configured_order(InfluenceStore(folder.path).table(), folder.facts().get("data", [])),
            reference=_name(options.reference),
            methods=None if options.methods is None else [_name(method) for method in options.methods],
            num_resamples=options.num_resamples,
            seed=options.seed,
            readout=options.readout,
        )
        path = Path(write_table(folder.path / "comparison.parquet", comparison))
    console = result_console()
    console.print(comparison_table(comparison, console.width), crop=False)
    console.print(f"table: {path}", soft_wrap=True, highlight=False)
    publish(options.wandb, folder, "compare")
