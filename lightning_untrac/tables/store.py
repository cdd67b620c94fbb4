"""The influences of a run on disk: a file for each finished episode, and the tables that are compacted from them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning_untrac.tables import schema as schemas
from lightning_untrac.tables.episodes import EpisodeFiles
from lightning_untrac.tables.files import conform, read_table
from lightning_untrac.tables.locking import locked
from lightning_untrac.tables.schema import EXAMPLES_KEYS, INFLUENCE_KEYS, InfluenceRow, ResultsError

if TYPE_CHECKING:
    import pyarrow as pa


class InfluenceStore:
    """The influences of a run: ``influence.parquet`` and ``examples.parquet`` in a folder.

    Both are always whole, sorted by key and free of repeats: two runs that computed the same things in another order
    write equal tables (all but ``seconds``). They are made from ``episodes/``, see :class:`EpisodeFiles`; what is read
    here is up to date also where the tables are not yet.

    Args:
        folder: The run's folder; made when the first rows come.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Remember the paths; nothing is read or written yet."""
        self.folder = Path(folder)
        self.path = self.folder / "influence.parquet"
        self.examples_path = self.folder / "examples.parquet"

    @cached_property
    def influence_files(self) -> EpisodeFiles:
        """Of all readings of each episode."""
        return EpisodeFiles(self.folder, "influence", schemas.influence_schema(), INFLUENCE_KEYS)

    @cached_property
    def examples_files(self) -> EpisodeFiles:
        """Of the scores of single examples of each episode."""
        return EpisodeFiles(self.folder, "examples", schemas.examples_schema(), EXAMPLES_KEYS)

    @cached_property
    def _unfinished(self) -> EpisodeFiles:
        """Of the readings of episodes that still run."""
        return EpisodeFiles(self.folder, "unfinished", schemas.influence_schema(), INFLUENCE_KEYS)

    @property
    def kinds(self) -> tuple[EpisodeFiles, EpisodeFiles]:
        """Both. Examples are first: where they are written after each other, influences say that both are there."""
        return self.examples_files, self.influence_files

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keep other processes from changing the tables."""
        return locked(self.folder)

    # -- reading ---------------------------------------------------------------------------------------------------

    def table(self) -> pa.Table:
        """All readings of finished episodes, with the columns of ``INFLUENCE_SCHEMA``."""
        return self.influence_files.table()

    def examples(self) -> pa.Table:
        """All scores of single examples, with the columns of ``EXAMPLES_SCHEMA``."""
        return self.examples_files.table()

    def rows(self) -> list[InfluenceRow]:
        """All readings of finished episodes, sorted by key."""
        return [InfluenceRow(**row) for row in self.table().to_pylist()]

    def finished_episodes(
        self, method: str, key: Literal["corpus", "test_set"] = "corpus", examples: bool = False
    ) -> set[tuple[str, int]]:
        """The episodes that are finished, so that a run that goes on can skip them.

        Args:
            method: As in the ``method`` column.
            key: What an episode of this method runs over: the corpus (UnTrac, leave-out) or the test set (UnTrac-Inv).
            examples: Whether an episode must also have scores of single examples to be finished.

        Returns:
            Pairs of dataset and seed.
        """
        kinds = self.kinds if examples else (self.influence_files,)
        return set.intersection(*(kind.finished(method, key) for kind in kinds))

    # -- writing ---------------------------------------------------------------------------------------------------

    def write_episode(
        self, method: str, dataset: str, seed: int, rows: Iterable[InfluenceRow], finished: bool = True
    ) -> None:
        """Write the readings of an episode, which is finished with that.

        A fit that is resumed from a Lightning checkpoint knows nothing of readings after it. They are added here from
        what was written before the episode was finished.

        Args:
            method: As in the ``method`` column.
            dataset: What the episode ran over.
            seed: Of its data order.
            rows: All readings of the episode.
            finished: Whether the last one is among them. Before that, no table holds the rows.
        """
        import pyarrow as pa

        kept = self._unfinished.path(method, dataset, seed)
        with contextlib.suppress(ResultsError):  # mostly there is none
            rows = [*(InfluenceRow(**row) for row in read_table(kept).to_pylist()), *rows]
        by_key = {row.key: row for row in rows}
        files = self.influence_files if finished else self._unfinished
        table = pa.Table.from_pylist([by_key[key].as_dict() for key in sorted(by_key)], schema=files.schema)
        files.write(method, dataset, seed, [table])
        if finished:
            kept.unlink(missing_ok=True)

    def begin_episode(self, method: str, dataset: str, seed: int) -> None:
        """Forget what an earlier attempt at an episode has written before it was killed."""
        self._unfinished.path(method, dataset, seed).unlink(missing_ok=True)

    def write_examples(self, method: str, dataset: str, seed: int, tables: Iterable[pa.Table]) -> None:
        """Write the scores of single examples of an episode, before its readings.

        Args:
            method: As in the ``method`` column.
            dataset: What the episode ran over.
            seed: Of its data order.
            tables: Rows in parts, sorted by (corpus, test set, example).
        """
        schema = schemas.examples_schema()
        parts = (conform(table, schema, "the table of examples") for table in tables)
        self.examples_files.write(method, dataset, seed, parts)

    def compact(self) -> None:
        """Bring ``influence.parquet`` and ``examples.parquet`` up to date with the files of episodes."""
        for kind in self.kinds:
            kind.compact()

    def append(self, rows: Iterable[InfluenceRow]) -> None:
        """Add readings that are no file of an episode; those with a key that was added before replace it.

        Args:
            rows: Readings in any order; the key is (method, corpus, test_set, seed, step).
        """
        import pyarrow as pa

        new = pa.Table.from_pylist([row.as_dict() for row in rows], schema=schemas.influence_schema())
        if new.num_rows:
            self.influence_files.add(new)

    def append_examples(self, rows: pa.Table | Iterable[Mapping[str, Any]]) -> None:
        """Add scores of single examples as :meth:`append` does; the key is (method, corpus, test_set, seed, example).

        Args:
            rows: A table or dicts with the columns of ``EXAMPLES_SCHEMA``.
        """
        import pyarrow as pa

        schema = schemas.examples_schema()
        new = (
            conform(rows, schema, "the table of examples")
            if isinstance(rows, pa.Table)
            else pa.Table.from_pylist([dict(row) for row in rows], schema=schema)
        )
        if new.num_rows:
            self.examples_files.add(new)

    def drop_episode(self, method: str, key: Literal["corpus", "test_set"], dataset: str, seed: int) -> None:
        """Remove an episode whose numbers turned out to be wrong.

        Args:
            method: As in the ``method`` column.
            key: What an episode of this method runs over.
            dataset: Which one it ran over.
            seed: Of its data order.
        """
        for kind in self.kinds:
            kind.drop(method, key, dataset, seed)

    def discard(self, method: str) -> None:
        """Remove everything of a method."""
        for kind in self.kinds:
            kind.discard(method)

    # -- from one folder to another --------------------------------------------------------------------------------

    def packed(self) -> Iterator[tuple[str, bytes]]:
        """All files of episodes, as path in the folder and content; one is in memory at a time."""
        for kind in self.kinds:
            kind.adopt()
            for path in kind.sources():
                yield str(path.relative_to(self.folder)), path.read_bytes()

    def unpack(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write what :meth:`packed` of another folder has given, and bring the tables up to date."""
        for name, content in files:
            _, kind, rest = name.split("/", 2)
            (self.examples_files if kind == "examples" else self.influence_files).put(rest, content)
        self.compact()
