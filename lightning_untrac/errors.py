"""The errors that are the user's to mend: each says what was expected, what came and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class UntracError(Exception):
    """Something that the user can mend; the command line prints it without a traceback and exits with its code.

    Attributes:
        exit_code: of the command.
    """

    exit_code = 2


class ConfigurationError(UntracError, ValueError):
    """Everything that is wrong with a run's configuration or data, in one message, before step 0.

    Args:
        problems: one sentence a problem, each with what was expected, what came and how to mend it.

    Example:
        >>> raise ConfigurationError(["corpora: none given; name at least one", "steps: 0; give at least 1"])
        Traceback (most recent call last):
            ...
        lightning_untrac.errors.ConfigurationError: 2 problems to mend before this can run:
          - corpora: none given; name at least one
          - steps: 0; give at least 1
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        head = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{head} to mend before this can run:\n" + "\n".join(f"  - {p}" for p in self.problems))


class UnlearningError(UntracError, RuntimeError):
    """A run whose numbers would be wrong or meaningless, such as one in which no weight moved."""


class ConditionMetError(UntracError):
    """A condition on results that the user asked to fail on is met; the command line exits with code 3."""

    exit_code = 3


class DamageWarning(UserWarning):
    """A file was damaged and the run goes on from an earlier state."""


def raise_if_any(problems: Iterable[str]) -> None:
    """Raise all ``problems`` at once.

    Raises:
        ConfigurationError: if there is at least one.
    """
    problems = list(problems)
    if problems:
        raise ConfigurationError(problems)


def problems_of(call: Callable[[], Any]) -> list[str]:
    """The problems that a call raises; none if it raises no :class:`ConfigurationError`.

    Example:
        >>> problems_of(lambda: raise_if_any(["steps: 0; give at least 1"]))
        ['steps: 0; give at least 1']
    """
    try:
        call()
    except ConfigurationError as error:
        return error.problems
    return []
