"""What kind of fault an error is, and what a user can do about it. Light: the command line imports it at once."""

from __future__ import annotations

import errno
import os
import re

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG)
"""Of a disk that became full or unwritable during a run."""

LOST_RANK = (
    "Another rank has ended, and this one ends with it: what that one printed says why. What was finished is kept, and "
    "the same command goes on"
)

TAKEN_PORT = (
    "The processes of this command meet at a port of this machine, and another program has taken it. Give the same "
    "command again, or choose a free port with the variable MASTER_PORT"
)

KEPT = "What was finished is kept: mend that, and the same command goes on"


def advice(error: BaseException) -> str | None:
    """What to do about a fault of the machine; None for any other error.

    Args:
        error: that ended a verb or an episode.

    Returns:
        Sentences to print after the error's own message.
    """
    if is_out_of_memory(error):
        return (
            "The memory is too small for these batches. Lower data.batch_size and raise "
            "trainer.accumulate_grad_batches by the same factor (the update stays the same), and lower "
            "data.eval_batch_size. What was finished is kept, and the same command goes on"
        )
    if is_of_a_worker(error):
        return (
            "A process that loads data died; most often the system ended it because memory ran out. Set "
            "data.num_workers to 0 (token ids are in memory: workers gain little), or free memory (also /dev/shm, "
            "through which workers hand over their batches). What was finished is kept, and the same command goes on"
        )
    if is_of_a_lost_rank(error):
        return LOST_RANK
    if is_of_a_taken_port(error):
        return TAKEN_PORT
    if (about_a_path := _of_a_path(error)) is not None:
        return about_a_path
    if is_of_the_disk(error):
        return f"The output folder cannot be written to. {KEPT}"
    return None


def _of_a_path(error: BaseException) -> str | None:
    """What to do about a path that cannot be, or that is not there any more."""
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "A path holds a NUL character, which none can; give another"
    if isinstance(error, RuntimeError) and "determine home directory" in str(error):
        return "There is no such user on this machine; write the path in full"
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENAMETOOLONG:
        return "A path is longer than the file system allows; give a shorter one"
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY):
        return f"Something else lies where the output folder needs a file or a folder; move it away. {KEPT}"
    name = error.filename
    held = os.path.dirname(os.fsdecode(name)) if isinstance(name, (str, bytes, os.PathLike)) else ""
    if error.errno == errno.ENOENT and held and not os.path.isdir(held):
        return (
            "The folder that held it is gone: it was deleted or moved while the command ran. What was in it is lost; "
            "the same command begins anew, or goes on where a copy of the folder is put back"
        )
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine ran out of memory; torch says the second in a plain ``RuntimeError``."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator: can't allocate memory" in str(error)
        or "DefaultCPUAllocator: not enough memory" in str(error)
    )


def is_of_a_worker(error: BaseException) -> bool:
    """Whether a worker process of a DataLoader died."""
    return re.search(r"DataLoader worker \(pid.*\) (is killed|exited unexpectedly)", str(error)) is not None


def is_of_a_lost_rank(error: BaseException) -> bool:
    """Whether a collective failed because another rank was gone."""
    return type(error).__name__ == "DistBackendError" or (
        re.search(r"gloo.*(Connection (reset|closed) by peer|Read error|Write error|timed out)", str(error), re.S)
        is not None
    )


def is_of_a_taken_port(error: BaseException) -> bool:
    """Whether ranks could not meet because another program listens at their port."""
    return type(error).__name__ == "DistNetworkError" and "EADDRINUSE" in str(error)


def is_of_the_disk(error: BaseException) -> bool:
    """Whether a disk became full or unwritable."""
    return disk_error(error) is not None


def disk_error(error: BaseException) -> BaseException | None:
    """The error that says so, where a disk became full or unwritable; safetensors and torch have classes of their own.

    torch's comes while the system's is handled, and says nothing of a disk.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.errno in DISK_ERRORS:
            return link
        if any(os.strerror(number) in str(link) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)):
            return link
        link = link.__cause__ or link.__context__
    return None


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its class where it has none; of the disk's own where it is to blame."""
    said = disk_error(error) or error
    return (str(said).strip().splitlines() or [type(said).__name__])[0].rstrip()
