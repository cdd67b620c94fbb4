"""``untrac report``: draw the plots and write report.html."""

from __future__ import annotations

from dataclasses import dataclass

from lightning.pytorch.utilities import rank_zero_only

from lightning_untrac.attribution import METHODS
from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.results import report_warnings, write_report
from lightning_untrac.results.found import find
from lightning_untrac.runs.output import publish
from lightning_untrac.runs.run_folder import RunFolder, existing_folder
from lightning_untrac.verb import Arguments, Traits


@dataclass
class ReportOptions:
    """Draw the plots of a run and write ``report.html``, one file that opens offline.

    Attributes:
        output: folder of the run.
        wandb: send tables, plots and the result files to Weights & Biases.
    """

    output: str
    wandb: WandbConfig | None = None


TRAITS = Traits(ReportOptions)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return parse("report", ReportOptions, argv, None)


@rank_zero_only  # in a recipe on several ranks all of them come by
def main(argv: Arguments) -> None:
    """Run the verb."""
    options: ReportOptions = arguments(argv).options
    METHODS.names()  # each says what it is called
    folder = RunFolder(options.output)
    existing_folder(folder.path)
    folder.facts(), folder.notes()  # written again from their copies, where they are damaged or gone
    with folder.costs("report"):
        found = find(folder.path)
        path = write_report(folder.path, found=found, stages=_stages(folder))
        warnings = report_warnings(folder.path, found=found)
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"plots:  {folder.path / 'plots'}\nreport: {path}")
    publish(options.wandb, folder, "report")


def _stages(folder: RunFolder) -> dict[str, bool]:
    """Which stages have begun, and whether each is finished."""
    begun = sorted(path.name.removesuffix(".claim.json") for path in folder.state.glob("*.claim.json"))
    return {stage: (folder.state / f"{stage}.done.json").is_file() for stage in begun}
