"""``python -m lightning_untrac.judges``: how often judges are right on labelled cases."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from lightning_untrac.errors import UntracError
from lightning_untrac.judges.judge import Said, find_judge

CASES: Final = Path(__file__).with_name("cases.tsv")
"""Labelled cases that ship: ``kind``, ``gives`` (1 or 0), ``answer`` and ``output``."""


def read_cases(path: Path = CASES) -> list[tuple[str, bool, Said]]:
    """The kind of each case, whether its output gives the answer, and the case.

    Args:
        path: of a file of tab-separated columns.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row["kind"], row["gives"] == "1", Said(row["answer"], row["output"])) for row in rows]


def confusion(asked: str | dict[str, Any], cases: Sequence[tuple[str, bool, Said]]) -> Counter[tuple[bool, bool]]:
    """How many cases are labelled so, and judged so.

    Args:
        asked: the judge.
        cases: as :func:`read_cases` gives them.
    """
    return _counts(cases, find_judge(asked)([case for _, _, case in cases]))


def _counts(cases: Sequence[tuple[str, bool, Said]], judged: Sequence[bool]) -> Counter[tuple[bool, bool]]:
    return Counter(zip((label for _, label, _ in cases), judged, strict=True))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments; the process' own where None.

    Returns:
        The exit code: 0, or 2 for something that the user can mend.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lightning_untrac.judges", description="Hold judges against labelled cases."
    )
    parser.add_argument("judges", nargs="*", default=["lexical", "any_word"], help="names, class paths, or JSON of "
                        '{"class_path": ..., "init_args": {...}}')  # fmt: skip
    parser.add_argument("--cases", type=Path, default=CASES, help="labelled cases of your own, a .tsv file")
    parser.add_argument("--wrong", action="store_true", help="also print the cases that are judged wrong")
    given = parser.parse_args(argv)
    try:
        cases = read_cases(given.cases)
        named = [json.loads(name) if name.startswith("{") else name for name in given.judges]
        every = [(asked["class_path"] if isinstance(asked, dict) else asked, find_judge(asked)) for asked in named]
        print("judge          right  given: found  missed   not given: left alone  taken for given")
        for name, judge in every:
            judged = judge([case for _, _, case in cases])
            counts = _counts(cases, judged)
            right = counts[True, True] + counts[False, False]
            print(f"{name:<12} {right:>3}/{len(cases)} {counts[True, True]:>13} {counts[True, False]:>7} "
                  f"{counts[False, False]:>23} {counts[False, True]:>16}")  # fmt: skip
            if given.wrong:
                for (kind, label, case), said in zip(cases, judged, strict=True):
                    if label != said:
                        print(f"  {kind}: {case.answer!r} in {case.output!r} is {'' if label else 'not '}given")
    except (UntracError, OSError, KeyError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
