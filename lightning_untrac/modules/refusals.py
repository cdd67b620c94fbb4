"""Any exception of transformers, peft, safetensors or torch while a model is looked up or loaded, as one sentence."""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lightning_untrac.errors import ConfigurationError
from lightning_untrac.faults import is_out_of_memory

TENSORS_ONLY = (
    "a file of its weights is damaged or holds something else than tensors; give a folder that save_pretrained wrote, "
    "with safetensors if you can"
)


@contextmanager
def refused(problem: Callable[[str], str]) -> Iterator[None]:
    """Turn whatever is raised inside into a ``ConfigurationError``; running out of memory stays what it is.

    Args:
        problem: makes the sentence from the cause.
    """
    try:
        yield
    except ConfigurationError:
        raise
    except Exception as error:  # these packages have classes of their own, and none in common
        if is_out_of_memory(error):
            raise
        raise ConfigurationError([problem(cause_of(error))]) from error


def cause_of(error: BaseException) -> str:
    r"""What an error says, in one line and in words that help.

    Example:
        >>> cause_of(RuntimeError("Error(s) in loading state_dict for M:\n\tsize mismatch for a.weight: 3"))
        'Error(s) in loading state_dict for M: size mismatch for a.weight: 3'
        >>> cause_of(KeyError("nope"))
        "KeyError: 'nope'"
    """
    if isinstance(error, pickle.UnpicklingError | EOFError | struct.error):
        return TENSORS_ONLY
    text = str(error)
    if "ignore_mismatched_sizes" in text:
        return "its config.json describes a model of other sizes than the saved weights have"
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    line = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    # Python's own errors say a value and not what is the matter with it.
    bare = isinstance(error, LookupError | ArithmeticError | AttributeError) or not re.search(r"\s", line)
    return f"{type(error).__name__}: {line}" if bare and type(error).__name__ != line else line
