"""``untrac merge``: join the shards of a verb that was shared out over jobs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from lightning_untrac.config.parsing import Parsed, parse
from lightning_untrac.errors import raise_if_any
from lightning_untrac.fanout.episode_work import publish_matrix
from lightning_untrac.fanout.shard_parts import Parts, find_parts, join
from lightning_untrac.loggers import WandbConfig
from lightning_untrac.naming import counted
from lightning_untrac.runs.output import show_influences
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.verb import Arguments, Traits


@dataclass
class MergeOptions:
    """Join the shards of ``trace`` and ``leave-out`` (``--shard i/n``) into the tables of the whole.

    Attributes:
        output: folder of the run; its ``shards/`` are joined, of every stage that has some.
        shards: folders to look for shards in instead, e.g. copies from other machines: ``--shards FOLDER FOLDER``.
        wandb: send the matrix and the results to Weights & Biases.
        overwrite: throw away what the folder holds of these stages under other settings.
    """

    output: str
    shards: list[str] = field(default_factory=list)
    wandb: WandbConfig | None = None
    overwrite: bool = False


TRAITS = Traits(MergeOptions, stage=False)


def arguments(argv: Arguments) -> Parsed:
    """Read the verb's arguments."""
    return parse("merge", MergeOptions, _with_lists(argv), None)


def _with_lists(argv: Arguments) -> Arguments:
    """``--shards A B`` as the one value that the parser takes.

    Example:
        >>> _with_lists(["--shards", "a", "b", "--output", "c"])
        ['--shards=["a", "b"]', '--output', 'c']
    """
    rest, found = list(argv), []
    while rest:
        argument = rest.pop(0)
        if argument == "--shards" and rest and not re.match(r"--|\[", str(rest[0])):
            folders = []
            while rest and not str(rest[0]).startswith("--"):
                folders.append(rest.pop(0))
            argument = f"--shards={json.dumps(folders)}"
        found.append(argument)
    return found


def main(argv: Arguments) -> None:
    """Run the verb."""
    options: MergeOptions = arguments(argv).options
    whole = RunFolder(options.output, options.overwrite)
    whole.mend_tables()
    stages, problems = find_parts(whole, [Path(folder) for folder in options.shards])
    raise_if_any([*problems, *(problem for parts in stages for problem in parts.problems(whole))])
    for parts in stages:
        join(parts, whole)
        _show(parts, whole, options)


def _show(parts: Parts, whole: RunFolder, options: MergeOptions) -> None:
    publish_matrix(options.wandb, whole, parts.method, parts.stage)
    print(f"merge: {parts.stage}: {counted(len(parts.shards), 'shard')}, {counted(len(parts.episodes), 'episode')}")
    show_influences(whole, parts.method)
