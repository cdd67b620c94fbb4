"""What every way of unlearning says of itself that is more than an objective, and where all are found by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Final

from lightning.pytorch.callbacks import Callback

from lightning_untrac.data.episodes import EpisodeKind
from lightning_untrac.registry import Registry

FORGETTING_METHODS: Final[Registry[ForgettingMethod]] = Registry("method", "lightning_untrac.forgetting")
"""All of them by the name that ``untrac unlearn --method`` takes."""


class ForgettingMethod(ABC):
    """A way of unlearning that does more than to descend an objective: ``untrac unlearn --method NAME``.

    The parameters of a subclass are its settings (``--method.NAME VALUE``). Its steps are those of an
    :class:`~lightning_untrac.modules.Unlearning` module, so that readings, tables, checkpoints and the saved model are
    what they always are. A new method is one new file in this package, or a class path.

    Attributes:
        name: what it is called on the command line.
        package: what has to be installed beside the core, or None.
        extra: the extra of this project that brings it.
        episodes: what it steps on: ``one``, the forget set, or ``without``, all corpora but that.
        batch_size: examples of a step where the user gives none; None for the usual number.
        steps: optimizer steps where the user gives neither steps nor passes; None for one pass.
        rate: part of the usual learning rate that it takes where the user gives none.
        one_device: why it can't work on several ranks; None where it can.
        takes_retain: whether the retain terms, the anchor and the rectifier of an objective go with it.
        keeps_weights: whether its checkpoints hold one more copy of the weights.
        stops: whether a rule of its own ends it, so that the loss of a holdout does not unless the user asks for it.
        parts: settings that are classes of a kind of their own, which then have short names too: where those are found.
        checkpoint_every: optimizer steps between two checkpoints where the user says nothing; None for no checkpoints.
    """

    name: ClassVar[str]
    package: ClassVar[str | None] = None
    extra: ClassVar[str | None] = None
    episodes: ClassVar[EpisodeKind] = "one"
    batch_size: ClassVar[int | None] = None
    steps: ClassVar[int | None] = None
    rate: ClassVar[float] = 1.0
    one_device: ClassVar[str | None] = None
    takes_retain: ClassVar[bool] = False
    keeps_weights: ClassVar[bool] = False
    stops: ClassVar[bool] = False
    parts: ClassVar[Mapping[str, Registry[Any]]] = {}
    checkpoint_every: ClassVar[int | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Make a new method known."""
        super().__init_subclass__(**kwargs)
        FORGETTING_METHODS.add(cls)

    @abstractmethod
    def prepare(self, module: Any) -> list[str]:
        """Give a module what its steps minimise, and say what else the method needs of it.

        Args:
            module: an ``Unlearning``, not fitted yet.

        Returns:
            What was chosen, in words.
        """

    @abstractmethod
    def callbacks(self) -> list[Callback]:
        """What does the rest. They stand before the readings' schedule and before the model is saved."""

    def writes_to(self, model: Path) -> None:  # noqa: B027
        """Told where the model will lie, before :meth:`callbacks` is called.

        Args:
            model: its folder, beside which files of the method may lie under its name.
        """

    def notes(self) -> list[str]:
        """What it came to, a sentence each, after the fit."""
        return []

    def doubts(self) -> list[str]:
        """What went wrong, a sentence each, after the fit; told as warnings."""
        return []

    def holdout_problems(self) -> list[str]:
        """What is wrong where there is no holdout."""
        return []

    def __str__(self) -> str:
        """What it is called in tables."""
        return type(self).__name__

    def problems(self) -> list[str]:
        """What is wrong with the settings; a package that is missing, too."""
        if self.package is None:
            return []
        try:
            import_module(self.package)
        except (ImportError, RuntimeError) as error:  # what it needs may be missing or not fit torch
            return [
                f"method: {self.name} needs the package {self.package} ({error}): "
                f"pip install 'lightning-untrac[{self.extra}]' -c constraints.txt"
            ]
        return []
