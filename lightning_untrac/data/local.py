"""Rows of local files as a table of the columns that are needed, kept in a cache that is read in place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_untrac.data.arrow_cache import ROWS, cached_table
from lightning_untrac.data.config import DatasetConfig
from lightning_untrac.data.files import file_identities, find_files
from lightning_untrac.data.labels import converters
from lightning_untrac.data.other_answers import answer_columns, answer_converters
from lightning_untrac.data.progress import progress_bars
from lightning_untrac.data.rows import READER_VERSION, cell_batches, missing_column_problems, placed_rows
from lightning_untrac.errors import ConfigurationError, raise_if_any

if TYPE_CHECKING:
    from datasets import Dataset

QUIET_BYTES = 64 * 2**20
"""Files below this size are read in a moment and show no bar."""


def needed_columns(config: DatasetConfig) -> tuple[str, ...]:
    """The columns that a dataset's examples are made of or chosen by."""
    beside = [config.split_by, config.copies if isinstance(config.copies, str) else None, *config.groups]
    beside += answer_columns(config)
    return tuple(dict.fromkeys([*config.columns, *(config.where or {}), *filter(None, beside)]))


def as_dataset(table: Any, fingerprint: str = "untrac") -> Dataset:
    """A table, or columns by name, as ``datasets`` has it.

    Args:
        table: an Arrow table or a mapping of columns.
        fingerprint: saves ``datasets`` from hashing the table; its own caches are not used.
    """
    import pyarrow as pa
    from datasets import Dataset

    return Dataset(table if isinstance(table, pa.Table) else pa.table(table), fingerprint=fingerprint)


def read_local(config: DatasetConfig, path: Path, cache_folder: Path) -> Any:
    """The rows that a path stands for.

    Args:
        config: which columns are needed; with a ``transform``, all of them are.
        path: a file, a folder or a pattern, or a folder made by ``save_to_disk``.
        cache_folder: where the cells are kept, in files named by what they were read from.

    Returns:
        A ``datasets.Dataset``; any iterable of rows where there is a ``transform``.

    Raises:
        ConfigurationError: if files are missing or can't be read, or columns are missing.
    """
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return _saved(config, path)
    kind, files = find_files(path)
    if config.transform:
        return _all_rows(kind, files, config.sample_by)
    columns = needed_columns(config)
    identity = [READER_VERSION, file_identities(files), columns, config.sample_by, config.messages, config.tools]
    of_classes = converters(config) | answer_converters(config)
    if of_classes:
        identity.append([(column, convert.__name__) for column, convert in of_classes.items()])
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]
    cached = cache_folder / f"{ROWS}{key}.arrow"
    if kind == "parquet":
        schema = load(lambda: _parquet_schema(files, columns), path)
        table = _cached(cached, lambda: _parquet_batches(files, schema), schema, files, path)
    else:
        schema = _strings(columns)
        batches = cell_batches(files, columns, config.sample_by, config.messages, config.tools, of_classes)
        table = _cached(cached, lambda: _record_batches(batches, schema), schema, files, path)
    return as_dataset(table, key)


def _cached(cached: Path, batches: Callable[[], Iterable[Any]], schema: Any, files: list[Path], path: Path) -> Any:
    from datasets.utils import tqdm

    show = sum(file.stat().st_size for file in files) > QUIET_BYTES
    with progress_bars(show):
        try:
            return cached_table(cached, lambda: tqdm(batches(), desc=f"reading {path}", unit=" batches"), schema)
        except OSError as error:
            message = f"data.cache_folder: can't write rows to {cached.parent} ({error}); make room or name another"
            raise ConfigurationError([message]) from error


def _saved(config: DatasetConfig, path: Path) -> Any:
    import datasets

    saved = load(lambda: datasets.load_from_disk(str(path)), path)
    if isinstance(saved, datasets.DatasetDict):
        if config.split not in saved:
            raise ConfigurationError([f"{path} has no split {config.split!r}; there are {', '.join(saved)}"])
        saved = saved[config.split]
    return saved


def _all_rows(kind: str, files: list[Path], sample_by: str) -> list[dict[str, Any]]:
    if kind == "parquet":
        import pyarrow.parquet as pq

        tables = [load(partial(pq.read_table, file), file) for file in files]
        return [row for table in tables for row in table.to_pylist()]
    problems: list[str] = []
    rows = [row for file in files for _, row in placed_rows(file, sample_by, problems)]
    raise_if_any(problems)
    return rows


def _strings(columns: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.schema({column: pa.string() for column in columns})


def _record_batches(batches: Iterable[dict[str, Any]], schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    for batch in batches:
        yield pa.record_batch([pa.array(batch[field.name], field.type) for field in schema], schema=schema)


# -- parquet -----------------------------------------------------------------------------------------------------------


def _parquet_schema(files: list[Path], columns: Sequence[str]) -> Any:
    """Types of the needed columns over all files; what else a file has does not count."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    problems: list[str] = []
    schemas: list[Any] = []
    for file in files:
        schema = pq.read_schema(file)
        problems += [f"{file}: {problem}" for problem in missing_column_problems(columns, schema.names)]
        twice = [column for column in columns if schema.names.count(column) > 1]
        problems += [f"{file}: names column {column!r} more than once" for column in twice]
        if not problems:
            fields = [pa.field(column, _plain_type(schema.field(column).type)) for column in columns]
            schemas.append(pa.schema(fields, metadata=schema.metadata))
    raise_if_any(problems)
    try:
        # The metadata of the first file say which numbers are class labels.
        return pa.unify_schemas(schemas, promote_options="permissive").with_metadata(schemas[0].metadata)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ConfigurationError(
            [f"{len(files)} files have columns of types that don't go together ({error})"]
        ) from error


def _plain_type(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    return pa.large_string() if pa.types.is_string_view(kind) else kind


def _parquet_batches(files: list[Path], schema: Any) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in files:
        read = pq.ParquetFile(file)
        try:
            for batch in read.iter_batches(batch_size=1000, columns=schema.names):
                columns = [batch.column(field.name).cast(field.type) for field in schema]
                made = pa.record_batch(columns, schema=schema)
                made.validate(full=True)
                yield made
        except (pa.ArrowException, OSError) as error:
            raise ConfigurationError([f"can't read {file} ({cause(error)})"]) from error


def load(read: Callable[[], Any], path: Path) -> Any:
    """What a reader gives, its errors as one sentence."""
    try:
        return read()
    except ConfigurationError:
        raise
    except Exception as error:  # each library has its own
        raise ConfigurationError([f"can't read {path} ({cause(error)})"]) from error


def cause(error: BaseException) -> str:
    """Class and first line of what is behind an error."""
    first = error.__cause__ or error
    return f"{type(first).__name__}: {(str(first).splitlines() or ['no message'])[0]}"
