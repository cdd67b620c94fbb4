"""How long a report of many corpora and test sets takes, and how large it is.

A table of made-up influences with losses by parts and eight readings an episode, as long runs leave them:

    python benchmarks/report.py --corpora 300 --test-sets 40

prints the processor seconds of reading and computing, of drawing and writing, and the MiB of ``report.html``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

import lightning_untrac.attribution  # noqa: F401 - its methods say what they are called
from lightning_untrac.results import write_report
from lightning_untrac.results.found import find
from lightning_untrac.tables import InfluenceRow, InfluenceStore

METHODS = ("continuation", "untrac", "leave_out", "graddot")
PARTS, READINGS = 64, 8


def rows_of(num_corpora: int, num_test_sets: int) -> list[InfluenceRow]:
    """Readings of every method, the last of which has its losses by parts."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(num_corpora, num_test_sets)) * 0.03
    truth[rng.integers(num_corpora, size=num_test_sets), np.arange(num_test_sets)] += 0.3
    weights, rows = np.full(PARTS, 200.0), []
    for method in METHODS:
        episodic = method != METHODS[-1]
        for j in range(num_test_sets):
            before = rng.normal(2.0, 0.3, size=PARTS) * weights
            start = float(before.sum() / weights.sum())
            for i in range(num_corpora):
                influence = truth[i, j] + rng.normal() * 0.02
                for reading in range(1, READINGS + 1) if episodic else [0]:
                    value, final = influence * (reading / READINGS if episodic else 1), reading in (0, READINGS)
                    more = {"loss_before": start, "loss_after": start + value} if episodic else {"unit": "product"}
                    if episodic and final:
                        after = before + value * weights + rng.normal(size=PARTS) * 0.03 * weights
                        more |= {"part_losses_before": before.tolist(), "part_losses_after": after.tolist()}
                        more["part_weights"] = weights.tolist()
                    rows.append(
                        InfluenceRow(
                            method=method, corpus=f"corpus-{i:03d}", test_set=f"test-{j:02d}", seed=0, step=reading,
                            final=final, influence=value, **more,
                        )
                    )  # fmt: skip
    return rows


def main() -> None:
    """Make the table, write the report, print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=int, default=300)
    parser.add_argument("--test-sets", type=int, default=40)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        InfluenceStore(name).append(rows_of(asked.corpora, asked.test_sets))
        begun = time.process_time()
        found = find(name)
        computed = time.process_time()
        size = Path(write_report(name, found=found)).stat().st_size / 2**20
        print(f"read and computed {computed - begun:.1f} s, drawn and written {time.process_time() - computed:.1f} s")
        print(f"report.html {size:.1f} MiB")


if __name__ == "__main__":
    main()
