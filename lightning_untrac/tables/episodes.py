"""A file for each finished episode, and the one table that is compacted from them."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from lightning_untrac.tables.checksums import file_digest
from lightning_untrac.tables.files import (
    atomic_write_bytes,
    conform,
    open_table,
    read_table,
    write_table,
    write_tables,
)
from lightning_untrac.tables.locking import locked
from lightning_untrac.tables.merging import merge_tables, merged
from lightning_untrac.tables.schema import ResultsError

if TYPE_CHECKING:
    import pyarrow as pa

EPISODES: Final = "episodes"
"""Folder of the files, in a run's folder."""

LOOSE: Final = "rows.parquet"
"""Name of the file of a method's rows that came by themselves: scores without episodes, and earlier tables."""

SOURCES: Final = b"untrac.sources"
"""Metadata of a compacted table: the files that it was made from, with their SHA-256."""

_NAME: Final = re.compile(r"(.+)-seed-(-?\d+)\.parquet")


class EpisodeFiles:
    """The files ``episodes/<name>/<method>/<dataset>-seed-<seed>.parquet`` of a run, and ``<name>.parquet``.

    A file appears whole when its episode is finished, and is never changed. The table is made from the files, so that
    it can always be made again. Where there are no files the table itself counts: earlier versions wrote it alone.

    Args:
        run: The run's folder.
        name: Of the table.
        schema: Of the table and of each file.
        keys: The columns that make a row's key, by which files and table are sorted.
    """

    def __init__(self, run: Path, name: str, schema: pa.Schema, keys: Sequence[str]) -> None:
        self.run, self.schema, self.keys = run, schema, keys
        self.table_path = run / f"{name}.parquet"
        self.folder = run / EPISODES / name

    # -- reading ---------------------------------------------------------------------------------------------------

    def path(self, method: str, dataset: str, seed: int) -> Path:
        """Where the file of an episode belongs."""
        return self._folder(method) / f"{quote(dataset, safe='')}-seed-{seed}.parquet"

    def _folder(self, method: str) -> Path:
        return self.folder / quote(method, safe="")

    def _files(self, method: str = "*") -> list[Path]:
        # Loose rows first: of two files with the same rows the later counts.
        found = [path for path in self.folder.glob(f"{method}/*.parquet") if not path.name.startswith("._")]
        return sorted(found, key=lambda path: (path.name != LOOSE, path))

    def sources(self) -> list[Path]:
        """The files that the table is to say what they say."""
        files = self._files()
        return [self.table_path, *files] if self._table_is_a_source(files) else files

    def _table_is_a_source(self, files: Sequence[Path]) -> bool:
        if not files:
            return self.table_path.is_file()
        with contextlib.suppress(ResultsError), open_table(self.table_path) as file:
            return SOURCES not in file.metadata.metadata
        return False  # missing or damaged

    def recorded(self) -> dict[str, str] | None:
        """What the table was compacted from; None where it was not, or is missing or damaged."""
        with contextlib.suppress(ResultsError), open_table(self.table_path) as file:
            found: dict[str, str] | None = json.loads(file.metadata.metadata.get(SOURCES, b"null"))
            return found
        return None

    def digests(self) -> dict[str, str]:
        """The files that are there, with their SHA-256."""
        return {str(path.relative_to(self.folder)): file_digest(path) for path in self._files()}

    def table(self) -> pa.Table:
        """All rows of the files, sorted by key; from the table where it is sound and up to date."""
        import pyarrow as pa

        if self._files() and self.recorded() == self.digests():
            with contextlib.suppress(ResultsError):
                return conform(read_table(self.table_path), self.schema, self.table_path)
        return pa.concat_tables([self.schema.empty_table(), *merged(self.sources(), self.schema)])

    def finished(self, method: str, key: str) -> set[tuple[str, int]]:
        """The (dataset, seed) that have a file, or loose rows that end them; ``key`` is their column of the dataset."""
        names = [_NAME.fullmatch(path.name) for path in self._files(quote(method, safe=""))]
        found = {(unquote(name[1]), int(name[2])) for name in names if name}
        for table in self._loose(method):
            ends = table.filter(table["final"]) if "final" in table.column_names else table
            pairs = ends.group_by([key, "seed"], use_threads=False).aggregate([])
            found |= set(zip(pairs[key].to_pylist(), pairs["seed"].to_pylist(), strict=True))
        return found

    def _loose(self, method: str) -> list[pa.Table]:
        """A method's rows that no file of an episode holds."""
        import pyarrow.compute as pc

        paths = [path for path in self.sources() if path in (self.table_path, self._folder(method) / LOOSE)]
        tables = [conform(read_table(path), self.schema, path) for path in paths]
        return [table.filter(pc.equal(table["method"], method)) for table in tables]

    # -- writing ---------------------------------------------------------------------------------------------------

    def write(self, method: str, dataset: str, seed: int, tables: Iterable[pa.Table]) -> None:
        """Write the file of an episode, which says that it is finished; ``tables`` are its rows, sorted by key."""
        self.adopt()
        write_tables(self.path(method, dataset, seed), self.schema, tables)

    def put(self, name: str, content: bytes) -> None:
        """Write a file that was read from another folder."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with locked(self.run):
            self.adopt()
            if name.endswith(LOOSE):  # this folder may have such rows too
                self._put_loose(conform(pq.read_table(pa.BufferReader(content)), self.schema, name))
            else:
                atomic_write_bytes(self.folder / name, content)

    def add(self, new: pa.Table) -> None:
        """Add rows that are no file of an episode; those with a key that is among such rows replace it."""
        with locked(self.run):
            self.adopt()
            self._put_loose(new)
            self.compact()

    def drop(self, method: str, key: str, dataset: str, seed: int) -> None:
        """Remove an episode; ``key`` is the column of the dataset."""
        import pyarrow.compute as pc

        with locked(self.run):
            self.adopt()
            self.table_path.unlink(missing_ok=True)  # first: without files the table would count
            self.path(method, dataset, seed).unlink(missing_ok=True)
            for table in self._loose(method):
                its = pc.and_(pc.equal(table[key], dataset), pc.equal(table["seed"], seed))
                write_table(self._folder(method) / LOOSE, table.filter(pc.invert(its)))
            self.compact()

    def discard(self, method: str) -> None:
        """Remove all rows of a method."""
        with locked(self.run):
            self.adopt()
            self.table_path.unlink(missing_ok=True)
            if self._folder(method).exists():
                shutil.rmtree(self._folder(method))
            self.compact()

    def compact(self) -> None:
        """Make the table say what the files say, if it does not."""
        with locked(self.run):
            self.adopt()
            digests = self.digests()
            if not digests:
                self.table_path.unlink(missing_ok=True)
            elif digests != self.recorded():
                said = {SOURCES: json.dumps(digests).encode()}
                write_tables(self.table_path, self.schema, merged(self.sources(), self.schema), said)

    def adopt(self) -> None:
        """Keep the rows of a table that is no compacted one among the loose ones."""
        if not self._table_is_a_source(self._files()):
            return
        with locked(self.run):
            if self._table_is_a_source(self._files()):
                self._put_loose(conform(read_table(self.table_path), self.schema, self.table_path))
                self.table_path.unlink()
                self.table_path.with_name(f".{self.table_path.name}.previous").unlink(missing_ok=True)

    def _put_loose(self, new: pa.Table) -> None:
        import pyarrow.compute as pc

        for method in pc.unique(new["method"]).to_pylist():
            path = self._folder(method) / LOOSE
            old = conform(read_table(path), self.schema, path) if path.exists() else self.schema.empty_table()
            write_table(path, merge_tables(old, new.filter(pc.equal(new["method"], method)), self.keys))
