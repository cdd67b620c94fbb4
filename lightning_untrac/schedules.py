"""Learning-rate schedules that are as long as the training, and schedules that are not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from lightning_untrac.faults import first_line

LENGTHS = ("total_steps", "T_max", "total_iters")
"""What torch's schedules call the number of steps that they are made for."""

WHOLE = -1
"""A length that stands for the optimizer steps of the stage itself."""


def follows(factory: Callable[..., Any]) -> tuple[str, ...]:
    """Which arguments of a schedule are to be the number of steps of its stage.

    Args:
        factory: a ``functools.partial`` of a schedule's class, as the command line and most users make it; in other
            functions nothing is found.

    Returns:
        Those that are -1, and ``total_steps`` of a ``OneCycleLR`` that is given no length at all.

    Example:
        >>> from functools import partial
        >>> follows(partial(OneCycleLR, max_lr=0.1)), follows(partial(OneCycleLR, max_lr=0.1, total_steps=5))
        (('total_steps',), ())
    """
    given = getattr(factory, "keywords", {})
    found = [name for name in LENGTHS if given.get(name) == WHOLE]
    # The command line's factory has the class among its arguments.
    is_one_cycle = OneCycleLR in (getattr(factory, "func", None), *getattr(factory, "args", ()))
    if is_one_cycle and all(given.get(name) is None for name in ("total_steps", "epochs", "steps_per_epoch")):
        found.append("total_steps")
    return tuple(found)


def make_schedule(factory: Callable[..., Any], optimizer: Optimizer, num_steps: int) -> Any:
    """A schedule for an optimizer, as long as the training where it is to follow that.

    Args:
        factory: makes it from the optimizer.
        optimizer: whose learning rate it sets.
        num_steps: optimizer steps of the stage, or of an episode.
    """
    return factory(optimizer, **dict.fromkeys(follows(factory), num_steps))


def schedule_problem(
    factory: Callable[..., Any], make_optimizer: Callable[[], Optimizer], num_steps: int
) -> str | None:
    """What goes wrong with a schedule on the way through a training, found by going through it without a model.

    Args:
        factory: makes the schedule from an optimizer.
        make_optimizer: makes an optimizer of anything.
        num_steps: optimizer steps of the training; 0 where they are not known and only the making is tried.

    Returns:
        A sentence, or None.
    """
    step = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the optimizer takes no steps here
        try:
            schedule = make_schedule(factory, make_optimizer(), num_steps or 100)
            while step < num_steps:
                step += 1
                schedule.step()
        except Exception as error:  # a schedule may be anyone's
            if step == 0:
                return first_line(error)
            return (
                f"fails after step {step} of {num_steps} ({first_line(error)}); make it as long as the training. "
                f"A {', '.join(LENGTHS[:-1])} or {LENGTHS[-1]} of -1 is the number of steps of the stage"
            )
    return None
