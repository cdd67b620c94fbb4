"""Read back what a W&B run logged offline: wandb itself has no reader of ``run-*.wandb`` files any more.

Such a file is 7 bytes of header and a LevelDB log: blocks of 32 KiB with records of a checksum (4 bytes), a length (2)
and a kind (1): a whole record, or its first, middle or last part.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HEADER, BLOCK, RECORD_HEAD = 7, 32 * 1024, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass
class OfflineRun:
    """One run.

    Attributes:
        folder: ``offline-run-...``.
        name: as it was given, with group and job type.
        config: the run's configuration.
        history: the logged rows.
        summary: last value a key.
        metrics: a key or pattern to the key that is its x axis.
        artifacts: an artifact's name to the paths in it.
        files: paths of what was saved beside it (tables, pictures).
        ended: whether its end was written.
    """

    folder: Path
    name: str = ""
    group: str = ""
    job_type: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    ended: bool = False

    def curve(self, key: str, axis: str) -> list[tuple[float, float]]:
        """The points of one curve."""
        return [(row[axis], row[key]) for row in self.history if key in row]

    def table(self, key: str) -> dict[str, Any]:
        """Columns and data of a logged table."""
        path = next(row[key]["path"] for row in self.history if key in row)
        return json.loads((self.folder / "files" / path).read_text())

    def picture(self, key: str) -> Path:
        """The file of a logged picture."""
        return self.folder / "files" / next(row[key]["path"] for row in self.history if key in row)


def offline_runs(folder: Path) -> list[OfflineRun]:
    """All runs that were logged offline below a folder, oldest first.

    W&B's service writes the last of a run some tenths of a second after ``finish`` has returned, so this waits a while
    for runs that have no end yet; those that were killed never have one.
    """
    deadline = time.monotonic() + 5
    while True:
        paths = sorted(folder.rglob("run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)
        runs = [read_run(path) for path in paths]
        if all(run.ended for run in runs) or time.monotonic() > deadline:
            return runs
        time.sleep(0.1)


def read_run(path: Path) -> OfflineRun:
    """Read one ``run-*.wandb`` file."""
    from wandb.proto import wandb_internal_pb2

    run = OfflineRun(path.parent)
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.name, run.group, run.job_type = record.run.display_name, record.run.run_group, record.run.job_type
            run.config |= _items(record.run.config.update)
        elif kind == "config":
            run.config |= _items(record.config.update)
        elif kind == "history":
            run.history.append(_items(record.history.item))
        elif kind == "summary":
            run.summary |= _items(record.summary.update)
        elif kind == "metric":
            name = record.metric.name or record.metric.glob_name
            run.metrics[name] = record.metric.step_metric or run.metrics.get(name, "")
        elif kind == "artifact":
            run.artifacts[record.artifact.name] = [entry.path for entry in record.artifact.manifest.contents]
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            artifact = record.request.log_artifact.artifact
            run.artifacts[artifact.name] = [entry.path for entry in artifact.manifest.contents]
        elif kind == "exit":
            run.ended = True
        elif kind == "files":
            run.files += [file.path for file in record.files.files]
    return run


def _items(items: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for item in items:
        *path, last = item.nested_key or [item.key]
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = json.loads(item.value_json)
    return found


def _records(data: bytes) -> Iterator[bytes]:
    position, parts = HEADER, b""
    while position + RECORD_HEAD <= len(data):
        left = BLOCK - position % BLOCK
        if left < RECORD_HEAD:  # the end of a block is padded
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        if kind == 0:
            position += left
            continue
        start = position + RECORD_HEAD
        parts = (b"" if kind in (FULL, FIRST) else parts) + data[start : start + length]
        position = start + length
        if kind in (FULL, LAST):
            yield parts
