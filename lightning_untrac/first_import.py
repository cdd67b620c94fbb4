"""Import a verb into a process that has nothing yet, without work that is thrown away."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

SIGNAL = "scipy.signal"

OF_TORCHAO = ("torchao", "torchao.kernel.intmm", "torch.utils._pytree")
"""Loggers on which torchao lists the kernels that a machine lacks; transformers imports it where it is installed."""


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


def first_import(name: str) -> ModuleType:
    """Import a module; faster where PyTorch isn't there yet, because most of what follows comes with it.

    A million objects are made and nearly none is thrown away, so that the garbage collector only goes through them
    again and again: it waits, and counts them as permanent afterwards.

    Args:
        name: Of the module.

    Returns:
        The module.
    """
    for logger in OF_TORCHAO:
        logging.getLogger(logger).addFilter(_is_error)
    if "torch" in sys.modules or not gc.isenabled():
        return import_module(name)
    gc.disable()
    try:
        with signal_processing_later():
            return import_module(name)
    finally:
        gc.freeze()
        gc.enable()


class _Later(ModuleType):
    """Stands in for ``scipy.signal``, and makes way for it where anything but :attr:`hamming` is asked of it."""

    hamming = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # whoever goes through all modules asks for `__file__`
            raise AttributeError(name)
        _remove(self)
        return getattr(import_module(SIGNAL), name)


@contextmanager
def signal_processing_later() -> Iterator[None]:
    """Leave ``scipy.signal`` out of the import of torchmetrics, which comes with Lightning.

    It is a sixth of all that is imported. torchmetrics looks only whether it has its old name ``hamming`` and else adds
    it, for a package that measures speech; who asks for the module later gets SciPy's own.
    """
    if SIGNAL in sys.modules:
        yield
        return
    stand_in = _Later(SIGNAL)
    stand_in.__spec__ = ModuleSpec(SIGNAL, None)
    sys.modules[SIGNAL] = stand_in
    try:
        yield
    finally:
        _remove(stand_in)


def _remove(stand_in: ModuleType) -> None:
    if sys.modules.get(SIGNAL) is stand_in:
        del sys.modules[SIGNAL]
    scipy = sys.modules.get("scipy")
    if scipy is not None and vars(scipy).get("signal") is stand_in:
        delattr(scipy, "signal")
