"""Weights & Biases that never costs a run, and the default loggers of the verbs."""

from __future__ import annotations

import contextlib
import functools
import html
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlparse

from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from typing_extensions import override

from lightning_untrac.redaction import hidden, redacted, redacted_arguments
from lightning_untrac.wandb_service import is_gone, let_go

Method = TypeVar("Method", bound=Callable[..., Any])
REACH_TIMEOUT_SECONDS = 3.0


@dataclass
class WandbConfig:
    """Where a run is watched in Weights & Biases.

    Attributes:
        project: the W&B project.
        entity: the W&B user or team; your default one where None.
        group: runs of one experiment share it; by default the name of the output folder.
        mode: ``auto`` logs online where there is an API key and a network, and offline otherwise.
    """

    project: str = "lightning-untrac"
    entity: str | None = None
    group: str | None = None
    mode: Literal["auto", "online", "offline", "disabled"] = "auto"


class WandbNotice(UserWarning):
    """Something about W&B that a user should know, and that stops nothing."""


def _guarded(method: Method) -> Method:
    @functools.wraps(method)
    def call(self: SafeWandbLogger, *args: Any, **kwargs: Any) -> Any:
        if self.failed:
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:  # W&B's own errors, the network's, its service process' death: none may end a run
            self.failed = True
            if is_gone(error):
                let_go()
            warnings.warn(
                f"W&B failed ({type(error).__name__}: {hidden(str(error))}); the run goes on without it, and its "
                "results are in the output folder",
                WandbNotice,
                stacklevel=2,
            )
            return None

    return call  # type: ignore[return-value]


class SafeWandbLogger(WandbLogger):
    """Lightning's ``WandbLogger``, except that a failure of W&B is a warning and the end of logging, not of the run.

    Args:
        kwargs: those of ``WandbLogger``.

    Attributes:
        failed: whether W&B has failed; nothing more is sent to it then.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.failed = False
        super().__init__(**kwargs)

    @property
    def experiment(self) -> Any:
        """The W&B run; a stand-in that swallows everything once W&B has failed."""
        run = None if self.failed else self._run()
        return _Nothing() if run is None else _Guarded(self, run)

    @_guarded
    def _run(self) -> Any:
        with _hidden_arguments():  # W&B writes the command line down
            return super().experiment

    @override
    @_guarded
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        super().log_metrics(metrics, step)

    @override
    @_guarded
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        super().log_hyperparams(params)

    @override
    @_guarded
    def finalize(self, status: str) -> None:
        super().finalize(status)

    @override
    @_guarded
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        super().after_save_checkpoint(checkpoint_callback)

    @_guarded
    def log_results(self, folder: Path, tables: dict[str, Path], pictures: list[Path]) -> None:
        """Send finished tables and pictures, and all result files as one artifact.

        Args:
            folder: the run's output folder.
            tables: key in W&B to a parquet file.
            pictures: PNG files, logged under ``plots/``.
        """
        import pandas as pd
        import wandb

        from lightning_untrac.tables.schema import PARTS

        frames = {key: pd.read_parquet(path) for key, path in tables.items() if path.is_file()}
        logged: dict[str, Any] = {  # a cell of 64 numbers is nothing to look at
            key: wandb.Table(dataframe=frame.drop(columns=list(PARTS), errors="ignore"))
            for key, frame in frames.items()
        }
        logged |= {f"plots/{picture.stem}": wandb.Image(str(picture)) for picture in pictures}
        self.experiment.log(logged)
        artifact = wandb.Artifact(f"results-{self.experiment.group or 'run'}", type="results")
        for pattern in ("*.parquet", "*.yaml", "*.json", "report.html", "plots/*.png"):
            for path in sorted(folder.glob(pattern)):
                artifact.add_file(str(path), name=str(path.relative_to(folder)))
        self.experiment.log_artifact(artifact)

    @_guarded
    def log_matrix(self, key: str, header: list[str], rows: list[list[Any]]) -> None:
        """Send the matrix as a table.

        Args:
            key: name in W&B.
            header: column names.
            rows: cells.
        """
        import wandb

        self.experiment.log({key: wandb.Table(columns=header, data=rows)})

    @_guarded
    def log_page(self, key: str, text: str) -> None:
        """Send a text, to be read as it stands.

        Args:
            key: name in W&B.
            text: of any length.
        """
        import wandb

        self.experiment.log({key: wandb.Html(f"<pre>{html.escape(text)}</pre>", inject=False)})

    @_guarded
    def finish(self) -> None:
        """End the W&B run, and say how to send it if it stayed on this machine."""
        run = self.experiment
        offline, folder = run.offline, str(run.dir)
        run.finish()
        if offline and not self.failed:
            print(f"W&B: logged offline; to send it: wandb sync {Path(folder).parent}")


class _Guarded:
    """A W&B run whose methods are guarded too: callbacks call them directly."""

    def __init__(self, logger: SafeWandbLogger, run: Any) -> None:
        self._logger, self._run = logger, run

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._run, name)
        if not callable(value):
            return value

        @_guarded
        def call(logger: SafeWandbLogger, *args: Any, **kwargs: Any) -> Any:
            return value(*args, **kwargs)

        return functools.partial(call, self._logger)


class _Nothing:
    """Takes any call and does nothing: what is left of W&B after it has failed."""

    def __getattr__(self, name: str) -> Any:
        return _Nothing()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _Nothing()

    def __str__(self) -> str:
        return ""


def wandb_mode(asked: str) -> str:
    """Where W&B can log: ``online``, ``offline`` or ``disabled``.

    ``auto`` follows ``WANDB_MODE`` if it is set, and else asks for an API key and three seconds of network.
    """
    if asked != "auto":
        return asked
    if mode := os.environ.get("WANDB_MODE"):
        return mode
    import wandb

    if not wandb.login(prompt=False, verify=False):
        return "offline"
    address = urlparse(_base_url())
    try:
        port = address.port or (443 if address.scheme == "https" else 80)
        socket.create_connection((str(address.hostname), port), timeout=REACH_TIMEOUT_SECONDS).close()
    except OSError:
        return "offline"
    return "online"


def _base_url() -> str:
    import wandb

    return str(wandb.setup().settings.base_url)


def make_loggers(
    wandb: WandbConfig | None, folder: Path, verb: str, run_name: str, config: dict[str, Any]
) -> list[Logger]:
    """The loggers of a fit: CSV files always, W&B where it is asked for.

    Args:
        wandb: None for no W&B.
        folder: the output folder.
        verb: job type in W&B.
        run_name: name of this fit's run, e.g. ``untrac seed 0``.
        config: resolved configuration, sent to W&B without its secrets.
    """
    loggers: list[Logger] = [CSVLogger(folder / "logs", name=run_name.replace(" ", "-"))]
    if wandb is not None:
        try:
            loggers.append(_wandb_logger(wandb, folder, verb, run_name, config))
        except Exception as error:  # before the first step already: a broken installation, a wrong setting
            warnings.warn(
                f"W&B could not start ({type(error).__name__}: {hidden(str(error))}); the run goes on without it",
                WandbNotice,
                stacklevel=2,
            )
    return loggers


def _wandb_logger(
    wandb: WandbConfig, folder: Path, verb: str, run_name: str, config: dict[str, Any]
) -> SafeWandbLogger:
    return SafeWandbLogger(
        project=wandb.project,
        entity=wandb.entity,
        group=wandb.group or folder.resolve().name,
        job_type=verb,
        name=run_name,
        save_dir=folder,
        config=redacted(config),
        mode=wandb_mode(wandb.mode),  # not `offline=True`, with which Lightning would set it for the whole process
        reinit="finish_previous",
        settings=_settings(),
    )


@contextlib.contextmanager
def _hidden_arguments() -> Iterator[None]:
    """Let a library that looks at the command line see it without secrets."""
    real, sys.argv = sys.argv, [*sys.argv[:1], *redacted_arguments(sys.argv[1:])]
    try:
        yield
    finally:
        sys.argv = real


def _settings() -> Any:
    import wandb

    # Its own console capture and machine statistics are noise beside a progress bar.
    return wandb.Settings(console="off", quiet=True, silent=True, init_timeout=30)
