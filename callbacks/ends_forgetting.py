"""What can end forgetting, and says why."""

from __future__ import annotations

from lightning.pytorch.callbacks import Callback


class EndsForgetting(Callback):
    """A callback that may call ``module.end_forgetting()``; the command line and the model card say what it says.

    Attributes:
        reason: why it ended the newest episode's forgetting, a clause; None where it has not.
        standing: how far that episode was from being ended when it last looked; None where it has not looked.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.standing: str | None = None
