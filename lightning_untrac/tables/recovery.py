"""A damaged file makes way: the table is made again, or its episode is run again. Nothing is thrown away."""

from __future__ import annotations

import os
from pathlib import Path

from lightning_untrac.tables.files import check_table
from lightning_untrac.tables.schema import ResultsError
from lightning_untrac.tables.store import InfluenceStore


def recover(store: InfluenceStore) -> tuple[list[str], set[Path]]:
    """Check a run's files of episodes and its tables, set damaged ones aside, and bring the tables up to date.

    Args:
        store: Of the run.

    Returns:
        What was damaged and what becomes of it, a sentence each; and the tables that may lack rows that they held.
    """
    found, lost = list[str](), set[Path]()
    for files in store.kinds:
        with store.locked():  # several ranks begin at the same time, and the first one mends
            recorded, there, sources = files.recorded(), files.digests(), files.sources()
            # What was read soundly when the table was made, and is still the same, need not be read again.
            known = {files.folder / name for name in there if there[name] == (recorded or {}).get(name)}
            damages = [_look(path, "what it held is computed anew by the command that wrote it") for path in sources
                       if path not in known]  # fmt: skip
            if any(damages):
                files.table_path.unlink(missing_ok=True)
            elif files.table_path not in sources:
                damages.append(_look(files.table_path, "it was made again from the files of episodes"))
            files.compact()
            unknown = recorded is None and files.table_path not in sources
            if any(damages) or unknown or (recorded or {}).keys() - there.keys() or not files.table_path.exists():
                lost.add(files.table_path)
            found += [damage for damage in damages if damage is not None]
    return found, lost


def _look(path: Path, mended: str) -> str | None:
    if not (path.is_file() and os.access(path, os.R_OK)):
        return None
    try:
        check_table(path)
    except ResultsError as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        return f"{path} was damaged ({cause}); it is kept as {set_aside(path).name}; {mended}"
    return None


def set_aside(path: Path) -> Path:
    """Rename a damaged file to ``<name>.damaged`` (``-2``, ``-3``, ... where that is taken).

    Args:
        path: A file.

    Returns:
        Its new path.
    """
    aside, number = path.with_name(f"{path.name}.damaged"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    os.replace(path, aside)
    return aside
