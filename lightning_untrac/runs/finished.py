"""Whether a stage is finished, with these settings and with data that still hold what they held."""

from __future__ import annotations

from collections.abc import Collection

from lightning_untrac.data.config import ROLES
from lightning_untrac.runs.asked import Checked
from lightning_untrac.runs.checks import data_problems
from lightning_untrac.runs.data_files import configured, look, take, with_digests
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.surroundings import say


def is_finished(stage: Checked, folder: RunFolder, ignore: Collection[str] = (), *, quiet: bool = False) -> bool:
    """Whether a stage can be skipped.

    The data are not read for it: their files are held against what was written down about them. Only where one of them
    has changed they are read, because the change may be none to the texts. Where they are gone the stage is skipped,
    and that is said.

    Args:
        stage: the stage.
        folder: where it would be finished; a shard has a folder of its own.
        ignore: settings that may differ.
        quiet: whether to say nothing of data that are gone.
    """
    if folder.done(stage.name) is None:
        return False
    entries = configured(stage.data, stage.roles)
    found = look(folder.data_record(stage.name), entries)
    if found.changed:
        if data_problems(stage.data, stage.module):
            return False  # the checks say what is wrong
        note_data_content(stage)
    if not folder.is_done(stage.name, stage.identity, {*ignore, *found.same}):
        return False
    if found.gone and not quiet:
        say(f"{stage.name}: can't look whether its data are still the same; not there: {', '.join(found.gone)}")
    if found.changed or found.moved:
        folder.write_data_record(stage.name, with_digests(take(entries)))
    return True


def folder_problems(stage: Checked, ignore: Collection[str] = ()) -> list[str]:
    """Why a stage can't write into its folder, with the files of its data that have changed since results were made.

    Args:
        stage: the stage.
        ignore: settings that may differ.
    """
    found = look(stage.folder.data_record(stage.name), configured(stage.data, stage.roles))
    return stage.folder.problems(stage.name, stage.identity, {*ignore, *found.same}, found.changed)


def note_data_content(stage: Checked) -> None:
    """Let the identity of a stage say what its data hold, once they are read.

    Args:
        stage: the stage.
    """
    by_role = zip(ROLES, stage.data.by_role().values(), strict=True)
    if datasets := [dataset for role, datasets in by_role if role in stage.roles for dataset in datasets]:
        others = {f"{d.name}.alternative": d.alternative.fingerprint for d in datasets if d.alternative is not None}
        stage.identity["data_content"] = {d.name: d.fingerprint for d in datasets} | others
