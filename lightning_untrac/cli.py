"""The command line: ``untrac VERB ...``. Thin on purpose: it finds the verb, and turns errors into exit codes.

Nothing heavy is imported before the verb is known, so that ``untrac --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from lightning_untrac import __version__, termination
from lightning_untrac.console import settle_streams
from lightning_untrac.errors import UntracError
from lightning_untrac.faults import advice, first_line
from lightning_untrac.first_import import first_import
from lightning_untrac.redaction import hidden
from lightning_untrac.registry import did_you_mean
from lightning_untrac.verb import module_of, own_verbs, summary, verbs

VERBS = own_verbs()
"""Names of the verbs that ship."""

EXIT_MISUSE = 2
EXIT_INTERRUPTED = 130


def usage() -> str:
    """What ``untrac --help`` prints."""
    known = {name: summary(module) for name, module in sorted(verbs().items())}
    width = max(map(len, known))
    lines = [
        "usage: untrac VERB [--config FILE] [--output FOLDER] [options]",
        "",
        "Which of my training corpora made the model do this, and can I take it out again?",
        "",
        *(f"  {verb:<{width}}  {does}" for verb, does in known.items()),
        "",
        "untrac run quickstart     see it work: everything on built-in corpora, offline, in a few minutes",
        "untrac VERB --help        the options of a verb (every Trainer flag is --trainer.NAME)",
        "untrac --version          the version",
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        argv: the arguments after the program's name; the process' own where None.

    Returns:
        The exit code: 0, 2 for something that the user can mend, 3 where a condition of ``fail_if`` is met, 124 where
        ``trainer.max_time`` was over before the end, 130 for Ctrl-C, 143 for SIGTERM.
    """
    settle_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        print(f"lightning-untrac {__version__}")
        return 0
    verb, *rest = arguments
    module = module_of(verb)
    if module is None:
        hint = f"; {meant.rstrip()}" if (meant := did_you_mean(verb, verbs())) else ""
        print(f"untrac: there is no verb {verb!r}{hint}\n\n{usage()}", file=sys.stderr)
        return EXIT_MISUSE
    with termination.handled():
        return _run(verb, module, rest)


def _run(verb: str, module: str, arguments: Sequence[str]) -> int:
    try:
        first_import(module).main(arguments)
        termination.check()
    except UntracError as error:
        _complain(f"untrac {verb}: {error}")
        termination.kill_started()
        return error.exit_code
    except KeyboardInterrupt:
        print(
            f"\nuntrac {verb}: interrupted; what was finished is kept, the same command goes on from there",
            file=sys.stderr,
        )
        return EXIT_INTERRUPTED
    except termination.Terminated:
        return _terminated(verb)
    except termination.OutOfTime as error:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"untrac {verb}: {error.message}", file=sys.stderr)
        return termination.EXIT_OUT_OF_TIME
    except Exception as error:
        if termination.received():  # workers and other ranks are ending too: their errors are of no interest
            return _terminated(verb)
        termination.kill_started()
        if type(error).__name__ == "MisconfigurationException":  # Lightning's, for flags that don't go together
            _complain(f"untrac {verb}: {error}")
        elif (what_to_do := advice(error)) is not None:
            _complain(f"untrac {verb}: {first_line(error)}\n{what_to_do}")
        else:
            raise
        return EXIT_MISUSE
    return 0


def _complain(text: str) -> None:
    """Say what is wrong, without the secrets that a value which is quoted there may hold."""
    print(hidden(text), file=sys.stderr)


def _terminated(verb: str) -> int:
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(f"\nuntrac {verb}: {termination.MESSAGE.format(name=termination.received())}", file=sys.stderr)
    return termination.EXIT_TERMINATED
