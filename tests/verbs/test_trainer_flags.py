"""Every flag of Lightning's Trainer and every callback of Lightning does what the tables say, by effect."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import lightning.pytorch as L
import pytest
import yaml
from lightning.pytorch import callbacks as lightning_callbacks
from safetensors.torch import load_file

from lightning_untrac.config.trainer_callbacks import CALLBACKS
from lightning_untrac.config.trainer_flags import COLUMNS, FLAGS
from lightning_untrac.tables import InfluenceStore, read_table

FITS = ("pretrain", "trace", "leave-out", "unlearn")

VALUES = {
    "accelerator": "cpu",
    "strategy": "auto",
    "devices": 1,
    "num_nodes": 1,
    "precision": "64-true",
    "logger": False,
    "callbacks": {"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"},
    "fast_dev_run": 1,
    "max_epochs": 2,
    "min_epochs": 1,
    "max_steps": 1,
    "min_steps": 1,
    "max_time": "00:01:00:00",
    "limit_train_batches": 1,
    "limit_val_batches": 1,
    "limit_test_batches": 1,
    "limit_predict_batches": 1,
    "overfit_batches": 1,
    "val_check_interval": 1,
    "check_val_every_n_epoch": 2,
    "num_sanity_val_steps": 1,
    "log_every_n_steps": 1,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": True,
    "accumulate_grad_batches": 2,
    "gradient_clip_val": 1.0e-4,
    "gradient_clip_algorithm": "value",
    "deterministic": True,
    "benchmark": True,
    "inference_mode": False,
    "use_distributed_sampler": False,
    "profiler": "simple",
    "detect_anomaly": True,
    "barebones": True,
    "plugins": {"class_path": "lightning.fabric.plugins.environments.LightningEnvironment"},
    "sync_batchnorm": True,
    "reload_dataloaders_every_n_epochs": 1,
    "default_root_dir": "{folder}/elsewhere",
    "enable_autolog_hparams": False,
    "model_registry": "somewhere",
}
"""A value of each flag that is not Lightning's default, or that our machine has only one of."""

CHANGING = {
    *("precision", "fast_dev_run", "max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val"),
}
"""Used flags that change the numbers, each with a test of its own below; all others must change none."""

CALLBACK_ARGUMENTS = {
    "BackboneFinetuning": {},
    "BatchSizeFinder": {},
    "DeviceStatsMonitor": {},
    "EarlyStopping": {"monitor": "loss/ask-birds"},
    "GradientAccumulationScheduler": {"scheduling": {0: 2}},
    "LambdaCallback": {},
    "LearningRateFinder": {},
    "LearningRateMonitor": {},
    "ModelCheckpoint": {"dirpath": "{folder}/theirs"},
    "OnExceptionCheckpoint": {"dirpath": "{folder}/theirs"},
    "ModelPruning": {"pruning_fn": "l1_unstructured"},
    "ModelSummary": {},
    "ProgressBar": {},
    "RichModelSummary": {},
    "RichProgressBar": {},
    "StochasticWeightAveraging": {"swa_lrs": 0.1},
    "SpikeDetection": {},
    "Timer": {"duration": "00:01:00:00"},
    "TQDMProgressBar": {},
    "EMAWeightAveraging": {},
    "WeightAveraging": {},
}
"""Arguments of each callback that can be named in a file; the others are to be subclassed, or take a function."""

ABSTRACT = {"BaseFinetuning", "BasePredictionWriter", "Callback", "Checkpoint", "ThroughputMonitor"}
BARS = {"ProgressBar", "RichProgressBar", "TQDMProgressBar"}


@pytest.fixture
def run(untrac, config, recipe_content, settings, tmp_path, finished_run):
    """Run a short command of a verb with some Trainer flags; the outcome and the output folder."""
    count = iter(range(10**6))

    def go(verb, trainer=None, *more, **parts):
        output = tmp_path / f"out-{next(count)}"
        flags = yaml.safe_load(json.dumps(trainer or {}).replace("{folder}", str(tmp_path)))
        parts = {"trainer": {**settings["trainer"], "enable_progress_bar": False, **flags}, **parts}
        fixed = []
        if verb == "pretrain":
            fixed, parts = ["--steps", "2"], {"model": recipe_content["model"], **parts}
        elif verb == "leave-out":
            fixed = ["--trained_model", finished_run / "model", "--steps", "2"]
            parts = {"model": {"name_or_path": str(finished_run / "initial_model")}, **parts}
        elif verb == "trace":
            fixed = ["--method", "untrac", "--steps", "2", "--readings", "2"]
        elif verb == "rivals":
            fixed = ["--method", "graddot,embedding"]
        elif verb == "unlearn":
            fixed = ["--forget", "birds", "--steps", "2", "--readings", "2", "--objective", "ga"]
        name = "trace" if verb == "rivals" else verb
        return untrac(name, "--config", config(**parts), "--output", output, *fixed, *more), output

    return go


def numbers(verb, folder):
    """All that a verb has found, to be compared."""
    if verb == "pretrain":
        return {name: tensor.tolist() for name, tensor in load_file(folder / "model" / "model.safetensors").items()}
    if verb in ("unlearn", "evaluate"):
        columns = ["step", "measure", "dataset", "statistic", "value", "ci_low", "ci_high", "status"]
        losses = read_table(folder / "summary.parquet").select(columns).to_pylist()
        weights = load_file(folder / "unlearned-birds" / "model.safetensors") if verb == "unlearn" else {}
        return [losses, {name: tensor.tolist() for name, tensor in weights.items()}]
    table = InfluenceStore(folder).table().drop_columns(["seconds"])
    return sorted(table.to_pylist(), key=lambda row: (row["method"], row["corpus"], row["test_set"], row["step"]))


def notes(folder):
    return " ".join(note["text"] for note in json.loads((folder / "notes.json").read_text()))


def outcomes(table, verb, *wanted):
    return [name for name, one in table.items() if one.outcomes[verb] in wanted]


def callbacks_named(names):
    return [
        {"class_path": f"lightning.pytorch.callbacks.{name}", "init_args": CALLBACK_ARGUMENTS[name]} for name in names
    ]


def test_every_flag_of_the_trainer_has_a_row():
    parameters = [name for name in inspect.signature(L.Trainer.__init__).parameters if name != "self"]
    assert list(FLAGS) == parameters
    assert list(VALUES) == parameters


def test_every_callback_of_lightning_has_a_row():
    assert set(CALLBACKS) == set(lightning_callbacks.__all__)
    assert set(CALLBACK_ARGUMENTS) | ABSTRACT == set(lightning_callbacks.__all__)


@pytest.mark.parametrize("verb", COLUMNS)
def test_flags_that_are_refused(run, verb):
    refused = outcomes(FLAGS, verb, "refused")
    ran, output = run(verb, {flag: VALUES[flag] for flag in refused})
    assert ran.code == 2
    for flag in refused:
        assert f"trainer.{flag}: {VALUES[flag]!r}; {FLAGS[flag].why}" in ran.text
    assert not output.exists() or not list(output.iterdir())


@pytest.mark.filterwarnings("ignore:You have turned on `Trainer.detect_anomaly", "ignore:You passed `deterministic")
@pytest.mark.parametrize("verb", COLUMNS)
def test_flags_that_change_no_number(run, verb):
    """Those without effect, and those that are used and only say where, how visibly and how carefully to go."""
    silent = [*outcomes(FLAGS, verb, "no effect"), *outcomes(FLAGS, verb, "used")]
    given = {flag: VALUES[flag] for flag in silent if flag not in CHANGING or FLAGS[flag].outcomes[verb] == "no effect"}
    plain, plain_folder = run(verb)
    assert plain.code == 0, plain.text
    ran, folder = run(verb, {**given, "logger": None})
    assert ran.code == 0, ran.text
    assert numbers(verb, folder) == numbers(verb, plain_folder)
    if verb in FITS:
        assert "Profiler Report" in ran.text


@pytest.mark.parametrize("verb", COLUMNS)
def test_flags_that_are_noted(run, verb):
    for flag in outcomes(FLAGS, verb, "noted"):
        ran, folder = run(verb, {flag: VALUES[flag]})
        assert ran.code == 0, ran.text
        assert f"trainer.{flag} {VALUES[flag]}: " in notes(folder)


@pytest.mark.parametrize("verb", FITS)
def test_a_step_in_two_halves_is_the_whole_step(run, verb):
    # At the learning rate that unlearning chooses, Adam makes much of the rounding of gradients near 0.
    rate = ["--model.optimizer", "torch.optim.Adam", "--model.optimizer.lr", "5e-5"] if verb == "unlearn" else []
    whole = run(verb, {}, "--data.batch_size", "4", *rate)
    halves = run(verb, VALUES_OF_HALVES, "--data.batch_size", "2", *rate)
    for (ran, _), size in ((whole, 4), (halves, 2)):
        assert ran.code == 0, (size, ran.text)
    assert close(numbers(verb, whole[1]), numbers(verb, halves[1]), 1e-6)


VALUES_OF_HALVES = {"accumulate_grad_batches": VALUES["accumulate_grad_batches"]}


@pytest.mark.parametrize("verb", FITS)
@pytest.mark.parametrize("flag", ["precision", "gradient_clip_val"])
def test_flags_that_change_the_arithmetic(run, verb, flag):
    """Double precision moves the numbers a little; a gradient clipped to nearly nothing moves Adam little, SGD much."""
    optimizer = ["--model.optimizer", "torch.optim.SGD", "--model.optimizer.lr", "0.05"]
    plain, changed = run(verb, {}, *optimizer), run(verb, {flag: VALUES[flag]}, *optimizer)
    for ran, _ in (plain, changed):
        assert ran.code == 0, ran.text
    assert numbers(verb, plain[1]) != numbers(verb, changed[1])
    if flag == "precision":
        assert close(numbers(verb, plain[1]), numbers(verb, changed[1]), 1e-3)


def close(one, other, tolerance):
    """Whether two nested structures are alike but for small differences of their floats."""
    if isinstance(one, float) and isinstance(other, float):
        return one == pytest.approx(other, rel=tolerance, abs=tolerance)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key], tolerance) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(close(a, b, tolerance) for a, b in zip(one, other, strict=True))
    return one == other


def test_passes_and_steps_of_pretrain(run):
    """12 + 9 + 10 examples in batches of 4 are 8 steps a pass."""
    for flags, steps in (({"max_epochs": 2}, 16), ({"max_epochs": -1, "max_steps": 9}, 9), ({"max_steps": 3}, 3)):
        ran, folder = run("pretrain", flags, "--steps", "null")
        assert ran.code == 0, ran.text
        assert json.loads((folder / "pretrain.json").read_text())["steps"] == steps


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"accumulate_grad_batches": 0}, "trainer.accumulate_grad_batches: 0; give at least 1"),
        ({"check_val_every_n_epoch": 0}, "trainer.check_val_every_n_epoch: 0; give at least 1"),
        ({"log_every_n_steps": 0}, "trainer.log_every_n_steps: 0; give at least 1"),
        ({"log_every_n_steps": -1}, "trainer.log_every_n_steps: -1; give at least 1"),
        ({"reload_dataloaders_every_n_epochs": -1}, "trainer.reload_dataloaders_every_n_epochs: -1; leave it out"),
        ({"limit_train_batches": 0}, "trainer.limit_train_batches: 0 batches train nothing"),
        ({"limit_train_batches": 0.01}, "trainer.limit_train_batches: 0.01 leaves no batch"),
        ({"val_check_interval": 5}, "trainer.val_check_interval: 5 batches, and a pass has 2"),
        ({"max_epochs": -1}, "trainer.max_epochs: -1 passes have no end"),
        ({"max_time": "5 minutes"}, "max_time: '5 minutes'; "),
    ],
)
def test_values_that_are_refused(run, flags, problem):
    ran, _ = run("pretrain", flags, *(["--steps", "null"] if "max_epochs" in flags else []))
    assert ran.code == 2
    assert problem in ran.text


def test_one_batch_is_not_all_batches(untrac, run):
    """The integer 1 means one batch, the float 1.0 all of them; neither stays from an earlier call of the process."""
    for limit, noted in ((1, True), (1.0, False), (1, True)):
        ran, folder = run("pretrain", {"limit_val_batches": limit})
        assert ran.code == 0, ran.text
        assert ("limit_val_batches" in notes(folder)) == noted
    ran, plain = run("trace")
    ran, whole = run("trace", {"limit_val_batches": 1.0})
    assert ran.code == 0, ran.text
    assert numbers("trace", plain) == numbers("trace", whole)
    assert "limit_val_batches" not in notes(whole)


# -- time ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def after(monkeypatch, tmp_path):
    """A timer that is over after so many micro-batches of this command, whatever the machine's speed."""
    (tmp_path / "my_timer.py").write_text(TIMER)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda batches: {"callbacks": [{"class_path": "my_timer.AfterBatches", "init_args": {"batches": batches}}]}


TIMER = """
from lightning.pytorch.callbacks import Timer


class AfterBatches(Timer):
    def __init__(self, batches: int):
        super().__init__("00:00:01:00")
        self.batches, self.seen = batches, 0

    def time_elapsed(self, stage="train"):
        return self._offset + (61.0 if self.seen >= self.batches else 0.0)

    def on_train_batch_end(self, trainer, *args):
        self.seen += 1
        super().on_train_batch_end(trainer, *args)
"""


def test_training_that_ran_out_of_time_goes_on(run, untrac, after):
    """A time limit is that of one command: Lightning's Timer would go on counting where the checkpoint stopped."""
    ran, folder = run("pretrain", after(5), "--steps", "12")
    for steps in (5, 10):
        assert ran.code == 124, ran.text
        assert f"the time (trainer.max_time) is over after {steps} steps; a checkpoint is saved" in ran.text
        assert not (folder / "model").exists()
        ran = untrac("pretrain", "--config", folder / "pretrain.yaml")
    assert ran.code == 0, ran.text
    whole, other = run("pretrain", {}, "--steps", "12")
    assert whole.code == 0, whole.text
    assert numbers("pretrain", folder) == numbers("pretrain", other)
    assert json.loads((folder / "pretrain.json").read_text())["steps"] == 12


def test_time_that_is_over_with_the_last_step_changes_nothing(run, after):
    ran, folder = run("pretrain", after(2))
    assert ran.code == 0, ran.text
    assert (folder / "model").is_dir()


@pytest.mark.parametrize("verb", FITS)
def test_no_time_at_all(run, verb):
    ran, folder = run(verb, {"max_time": "00:00:00:00"})
    assert ran.code == 124, ran.text
    assert "is over after 0 steps" in ran.text
    assert not list(folder.glob("**/model.safetensors")) or verb == "pretrain"
    assert not (folder / "model").exists()


@pytest.mark.parametrize("verb", ["trace", "leave-out"])
def test_an_episode_that_ran_out_of_time_is_run_again(run, untrac, after, verb):
    """In the second of three episodes of two steps each, between two halves of a step: the step comes to its end."""
    halves = {"accumulate_grad_batches": 2}
    ran, folder = run(verb, {**after(5), **halves}, "--data.batch_size", "2")
    assert ran.code == 124, ran.text
    assert "after 3 steps; the episodes that are finished are kept" in ran.text
    assert sum(InfluenceStore(folder).table()["final"].to_pylist()) == 2
    step = "leave-out" if verb == "leave-out" else "trace-untrac"
    codes = [untrac(verb, "--config", folder / f"{step}.yaml").code for _ in range(2)]
    assert codes == [124, 0]  # the second and a half of the third, and the third
    _, whole = run(verb, halves, "--data.batch_size", "2")
    assert numbers(verb, folder) == numbers(verb, whole)


def test_unlearning_that_ran_out_of_time_leaves_no_model(run, after):
    for more, then in ((), "there are no checkpoints"), (("--checkpoint_every", "1"), "a checkpoint is saved"):
        ran, folder = run("unlearn", after(1), *more)
        assert ran.code == 124, ran.text
        assert then in ran.text
        assert not (folder / "unlearned-birds").exists()


def test_a_recipe_ends_where_its_training_ran_out_of_time(untrac, recipe, tmp_path):
    path = recipe(stages=[{"pretrain": {"steps": 3, "trainer": {"max_time": "00:00:00:00"}}}, {"trace": {"steps": 1}}])
    ran = untrac("run", path, "--output", tmp_path / "out")
    assert ran.code == 124, ran.text
    assert "[2/2]" not in ran.text


# -- callbacks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", COLUMNS)
def test_callbacks_that_are_refused(run, verb):
    refused = [name for name in outcomes(CALLBACKS, verb, "refused") if name not in ABSTRACT]
    assert bool(refused) == (verb in FITS)
    ran, output = run(verb, {"callbacks": callbacks_named(refused)})
    for name in refused:
        assert f"trainer.callbacks: {name} {CALLBACKS[name].why}" in ran.text
    assert ran.code == (2 if refused else 0)
    assert not refused or not output.exists() or not list(output.iterdir())


@pytest.mark.parametrize("verb", COLUMNS)
def test_callbacks_that_change_no_number(run, verb):
    """All that a verb takes, at once; of the bars, one."""
    taken = set(outcomes(CALLBACKS, verb, "no effect", "used")) - ABSTRACT - (BARS - {"TQDMProgressBar"})
    # The two that Lightning allows one of.
    taken -= {"RichModelSummary"}
    _, plain = run(verb)
    ran, folder = run(verb, {"enable_progress_bar": True, "callbacks": callbacks_named(sorted(taken))})
    assert ran.code == 0, ran.text
    assert numbers(verb, folder) == numbers(verb, plain)


def test_an_early_stop_is_the_end_of_training(run):
    stop = {"class_path": "lightning.pytorch.callbacks.EarlyStopping",
            "init_args": {"monitor": "loss/ask-birds", "stopping_threshold": 100.0}}  # fmt: skip
    ran, folder = run("pretrain", {"callbacks": [stop], "val_check_interval": 2}, "--steps", "8")
    assert ran.code == 0, ran.text
    assert json.loads((folder / "pretrain.json").read_text())["steps"] == 2
    assert (folder / "model").is_dir()


def test_a_callback_made_from_one_of_lightnings_counts_as_that(run, monkeypatch, tmp_path):
    (tmp_path / "my_stop.py").write_text(
        "from lightning.pytorch.callbacks import EarlyStopping\n\n\nclass MyStop(EarlyStopping):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = {"class_path": "my_stop.MyStop", "init_args": {"monitor": "loss/ask-birds"}}
    ran, _ = run("trace", {"callbacks": [mine]})
    assert ran.code == 2
    assert "trainer.callbacks: MyStop ends all episodes at once" in ran.text


def test_the_docs_show_both_tables():
    page = (Path(__file__).parents[2] / "docs" / "trainer_flags.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith("| `")]
    rows = [*FLAGS.items(), *CALLBACKS.items()]
    assert lines == [f"| `{name}` | {' | '.join(one.outcomes[v] for v in COLUMNS)} | {one.why} |" for name, one in rows]
