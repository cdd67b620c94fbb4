"""Tables, comparisons, plots and reports of a run. Names are loaded on first use, so that importing this is cheap."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_untrac.results.chance import verdicts
    from lightning_untrac.results.comparison import ceiling_name, compare
    from lightning_untrac.results.interval_plot import plot_intervals
    from lightning_untrac.results.matrix import InfluenceMatrix, influence_matrix, methods_of
    from lightning_untrac.results.ordering import in_configured_order
    from lightning_untrac.results.panels import plot_trajectory
    from lightning_untrac.results.plots import plot_matrix, save_plots
    from lightning_untrac.results.report import report_warnings, write_report
    from lightning_untrac.results.scatter import plot_scatter
    from lightning_untrac.results.schema import (
        COMPARISON_SCHEMA,
        EXAMPLES_SCHEMA,
        INFLUENCE_SCHEMA,
        LOSSES_SCHEMA,
        NATS_PER_TOKEN,
        NATS_PER_TOKEN_MEAN_OF_EXAMPLES,
        RELATIVE,
        STATUSES,
        UNITS,
        InfluenceRow,
        ResultsError,
    )
    from lightning_untrac.results.store import (
        InfluenceStore,
        atomic_path,
        atomic_write_bytes,
        check_writable,
        equal_tables,
        read_table,
        write_table,
    )
    from lightning_untrac.results.terminal import matrix_table, result_console
    from lightning_untrac.results.terminal_tables import comparison_table, losses_table
    from lightning_untrac.results.uncertainty import InfluenceIntervals, influence_intervals

_HOMES = {
    "comparison": ("ceiling_name", "compare"),
    "matrix": ("InfluenceMatrix", "influence_matrix", "methods_of"),
    "ordering": ("in_configured_order",),
    "panels": ("plot_trajectory",),
    "plots": ("plot_matrix", "save_plots"),
    "scatter": ("plot_scatter",),
    "report": ("report_warnings", "write_report"),
    "schema": (
        "COMPARISON_SCHEMA",
        "EXAMPLES_SCHEMA",
        "INFLUENCE_SCHEMA",
        "LOSSES_SCHEMA",
        "NATS_PER_TOKEN",
        "NATS_PER_TOKEN_MEAN_OF_EXAMPLES",
        "RELATIVE",
        "STATUSES",
        "UNITS",
        "InfluenceRow",
        "ResultsError",
    ),
    "store": (
        "InfluenceStore",
        "atomic_path",
        "atomic_write_bytes",
        "check_writable",
        "equal_tables",
        "read_table",
        "write_table",
    ),
    "interval_plot": ("plot_intervals",),
    "terminal": ("matrix_table", "result_console"),
    "terminal_tables": ("comparison_table", "losses_table"),
    "uncertainty": ("InfluenceIntervals", "influence_intervals"),
    "chance": ("verdicts",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "COMPARISON_SCHEMA",
    "EXAMPLES_SCHEMA",
    "INFLUENCE_SCHEMA",
    "LOSSES_SCHEMA",
    "NATS_PER_TOKEN",
    "NATS_PER_TOKEN_MEAN_OF_EXAMPLES",
    "RELATIVE",
    "STATUSES",
    "UNITS",
    "InfluenceIntervals",
    "InfluenceMatrix",
    "InfluenceRow",
    "InfluenceStore",
    "ResultsError",
    "atomic_path",
    "atomic_write_bytes",
    "ceiling_name",
    "check_writable",
    "compare",
    "comparison_table",
    "equal_tables",
    "in_configured_order",
    "influence_intervals",
    "influence_matrix",
    "losses_table",
    "matrix_table",
    "methods_of",
    "plot_intervals",
    "plot_matrix",
    "plot_scatter",
    "plot_trajectory",
    "read_table",
    "report_warnings",
    "result_console",
    "save_plots",
    "verdicts",
    "write_report",
    "write_table",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
