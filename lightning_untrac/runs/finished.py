"""Whether a step is finished, with these settings and with data that still hold what they held."""

from __future__ import annotations

from collections.abc import Collection

from lightning_untrac.data.config import ROLES
from lightning_untrac.runs.asked import Checked
from lightning_untrac.runs.checks import data_problems
from lightning_untrac.runs.data_files import configured, look, take, with_digests
from lightning_untrac.runs.run_folder import RunFolder
from lightning_untrac.runs.surroundings import say


def is_finished(phase: Checked, folder: RunFolder, ignore: Collection[str] = (), *, quiet: bool = False) -> bool:
    """Whether a step can be skipped.

    The data are not read for it: their files are held against what was written down about them. Only where one of them
    has changed they are read, because the change may be none to the texts. Where they are gone the step is skipped,
    and that is said.

    Args:
        phase: the step.
        folder: where it would be finished; a shard has a folder of its own.
        ignore: settings that may differ.
        quiet: whether to say nothing of data that are gone.
    """
    if folder.done(phase.step) is None:
        return False
    entries = configured(phase.data, phase.roles)
    found = look(folder.data_record(phase.step), entries)
    if found.changed:
        if data_problems(phase.data, phase.module):
            return False  # the checks say what is wrong
        note_data_content(phase)
    if not folder.is_done(phase.step, phase.identity, {*ignore, *found.same}):
        return False
    if found.gone and not quiet:
        say(f"{phase.step}: can't look whether its data are still the same; not there: {', '.join(found.gone)}")
    if found.changed or found.moved:
        folder.write_data_record(phase.step, with_digests(take(entries)))
    return True


def folder_problems(phase: Checked, ignore: Collection[str] = ()) -> list[str]:
    """Why a step can't write into its folder, with the files of its data that have changed since results were made.

    Args:
        phase: the step.
        ignore: settings that may differ.
    """
    found = look(phase.folder.data_record(phase.step), configured(phase.data, phase.roles))
    return phase.folder.problems(phase.step, phase.identity, {*ignore, *found.same}, found.changed)


def note_data_content(phase: Checked) -> None:
    """Let the identity of a step say what its data hold, once they are read.

    Args:
        phase: the step.
    """
    by_role = zip(ROLES, phase.data.by_role().values(), strict=True)
    if datasets := [dataset for role, datasets in by_role if role in phase.roles for dataset in datasets]:
        others = {f"{d.name}.alternative": d.alternative.fingerprint for d in datasets if d.alternative is not None}
        phase.identity["data_content"] = {d.name: d.fingerprint for d in datasets} | others
