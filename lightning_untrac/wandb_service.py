"""W&B's service process, which may die while a run goes on."""

from __future__ import annotations

import contextlib


def is_gone(error: Exception) -> bool:
    """Whether an error says that W&B's service process has died: by the socket, or by an answer that never came."""
    from wandb.sdk.mailbox import HandleAbandonedError, MailboxClosedError

    return isinstance(error, (ConnectionError, HandleAbandonedError, MailboxClosedError))


def let_go() -> None:
    """Forget W&B's service process, which died: W&B would look for it when this process ends, and print its errors."""
    import wandb

    # W&B ends the whole program with its service's exit code, where the socket still took its last message.
    with contextlib.suppress(Exception, SystemExit):
        wandb.teardown()
