"""Classes that count how often a verb makes them."""

from typing import Any

from lightning.pytorch.callbacks import Callback

from lightning_untrac.modules import Pretraining, Unlearning

made: list[str] = []
"""The name of each class, once for every object that was made of it."""


class CountedUnlearning(Unlearning):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        made.append("module")


class CountedPretraining(Pretraining):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        made.append("module")


class CountedCallback(Callback):
    def __init__(self) -> None:
        made.append("callback")
