"""Leave-out continuation, against plain loops and closed forms that are written here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as L
import pytest
import torch
from lightning.pytorch.callbacks import ProgressBar
from lightning_untrac.callbacks import ControlledInfluenceLogger

from lightning_untrac import LanguageModule, Pretraining, Unlearning
from lightning_untrac.attribution import Continuation, EpisodeRun
from lightning_untrac.errors import ConfigurationError, UnlearningError
from lightning_untrac.metrics import DatasetLosses
from lightning_untrac.modules.learning_rate import continuation_adam, rate_of_width
from lightning_untrac.tables import InfluenceStore, equal_tables

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}


class Killed(BaseException):
    """What a test ends a run with."""


class KillIn(L.Callback):
    """End the fit in its ``epoch``-th episode."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.current_epoch == self.epoch:
            raise Killed


@pytest.fixture
def go_on(tmp_path: Path, make_data: Any, model_folders: Any) -> Callable[..., Any]:
    """Run leave-out continuation and return ``{(corpus, test set): influence}``, or the rows of all readings."""

    def run(
        *,
        data: Any = None,
        folder: str = "run",
        optimizer: Any = lambda p: torch.optim.SGD(p, lr=0.1),
        architecture: str = "llama",
        dtype: str = "float32",
        callbacks: tuple[Any, ...] = (),
        make: Any = Unlearning,
        **options: Any,
    ) -> dict[tuple[str, str], float]:
        def trainer(**arguments: Any) -> L.Trainer:
            of_the_run = [c for c in arguments["callbacks"] if not isinstance(c, ProgressBar)]
            return L.Trainer(**{**arguments, "callbacks": [*of_the_run, *callbacks], **QUIET})

        data = data or make_data(batch_size=8)
        build = lambda: make(model_folders(architecture, dtype), dtype=dtype, dropout=False, optimizer=optimizer)  # noqa: E731
        data.prepare(build())
        EpisodeRun(
            Continuation(), tmp_path / folder, build, trainer, lambda name: [], data, **{"steps": 3, **options}
        ).run()
        return {(r.corpus, r.test_set): r.influence for r in InfluenceStore(tmp_path / folder).rows() if r.final}

    return run


def losses(module: LanguageModule, examples: Any, indices: Any = None) -> torch.Tensor:
    """Mean loss per target token of some examples, one by one."""
    assert module.model is not None
    total, tokens = torch.zeros((), dtype=torch.float64), 0
    for index in range(len(examples)) if indices is None else indices:
        ids = torch.tensor(examples[int(index)]["input_ids"].tolist())[None]
        log_probabilities = module.model(input_ids=ids).logits.double().log_softmax(-1)
        total = total - log_probabilities[0, torch.arange(ids.shape[1] - 1), ids[0, 1:]].sum()
        tokens += ids.shape[1] - 1
    return total / tokens


def test_the_control_and_the_rest_are_plain_training(
    go_on: Any, make_data: Any, model_folders: Any, tmp_path: Path
) -> None:
    data = make_data(batch_size=8)
    found = go_on(data=data)
    names = sorted(data.corpus_names)  # in which order the mixture is drawn
    corpora = [data.training_examples(name) for name in names]
    everything = [corpus[i] for corpus in corpora for i in range(len(corpus))]
    ends = [12, 22, 31]
    (control, *_) = [e for e in data.plan.episodes(data.corpus_names, data.test_set_names) if "(" in e.dataset]
    batches = list(data.sampler(control))

    def train_without(left_out: range) -> tuple[float, ...]:
        module = LanguageModule(model_folders("llama"), dropout=False)
        module.configure_model()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        for batch in batches:
            optimizer.zero_grad()
            losses(module, everything, [i for i in batch if i not in left_out]).backward()
            optimizer.step()
        with torch.no_grad():
            return tuple(float(losses(module, data.training_examples(name))) for name in data.test_set_names)

    before = train_without(range(0))
    rows = InfluenceStore(tmp_path / "run").rows()
    read = {r.test_set: r.loss_before for r in rows if r.final}
    assert read == {name: pytest.approx(loss, abs=1e-5) for name, loss in zip(data.test_set_names, before, strict=True)}
    for corpus, start, end in zip(names, [0, *ends], ends, strict=False):
        after = train_without(range(start, end))
        for name, one, other in zip(data.test_set_names, before, after, strict=True):
            assert found[corpus, name] == pytest.approx(other - one, abs=1e-5)


def test_one_sgd_step_over_everything_tends_to_its_closed_form(go_on: Any, make_data: Any, model_folders: Any) -> None:
    # G = sum of p_k G_k, so the step without Z differs by lr (G - G_rest) = lr p / (1 - p) (G_Z - G).
    lr = 1e-6
    data = make_data(batch_size=1000)
    found = go_on(
        data=data, optimizer=lambda p: torch.optim.SGD(p, lr=lr), architecture="gpt2", dtype="float64", steps=1
    )
    module = LanguageModule(model_folders("gpt2", "float64"), dtype="float64", dropout=False)
    module.configure_model()
    assert module.model is not None

    def gradient(name: str) -> torch.Tensor:
        module.zero_grad()
        losses(module, data.training_examples(name)).backward()
        return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])

    gradients = {name: gradient(name) for name in [*data.corpus_names, *data.test_set_names]}
    tokens = {name: data.tokenized_corpora[name].num_targets for name in data.corpus_names}
    shares = {name: count / sum(tokens.values()) for name, count in tokens.items()}
    mixture = sum(share * gradients[name] for name, share in shares.items())
    for (corpus, test_set), influence in found.items():
        p = shares[corpus]
        expected = p / (1 - p) * float((gradients[corpus] - mixture) @ gradients[test_set])
        assert influence / lr == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_copies_of_a_corpus_score_alike_and_strangers_otherwise(go_on: Any, make_data: Any) -> None:
    found = go_on(data=make_data(("birds", "copy=birds", "ships"), batch_size=1000), steps=4)
    for test_set in ("ask-birds", "ask-ships"):
        assert found["copy", test_set] == pytest.approx(found["birds", test_set], abs=1e-6)
    assert found["ships", "ask-ships"] > found["birds", "ask-ships"]
    assert found["birds", "ask-birds"] > found["ships", "ask-birds"]


def test_a_batch_of_nothing_else_is_filled_with_the_others(go_on: Any, make_data: Any) -> None:
    found = go_on(data=make_data(("birds", "ships"), batch_size=1), steps=8)
    assert len(found) == 4
    assert all(influence != 0 for influence in found.values())


def test_a_corpus_that_is_met_in_no_batch_has_no_influence(go_on: Any, make_data: Any) -> None:
    found = go_on(data=make_data(batch_size=1), steps=1)
    met = {corpus for (corpus, _), influence in found.items() if influence != 0}
    assert len(met) == 1


@pytest.mark.parametrize("episode", [0, 1, 2, 3])
def test_a_killed_run_goes_on_to_equal_tables(go_on: Any, tmp_path: Path, episode: int) -> None:
    options: dict[str, Any] = {"seeds": (0, 3), "readings": 3, "optimizer": lambda p: torch.optim.Adam(p, lr=1e-3)}
    go_on(folder="whole", **options)
    with pytest.raises(Killed):
        go_on(folder="cut", callbacks=(KillIn(episode),), **options)
    go_on(folder="cut", **options)
    whole, cut = (InfluenceStore(tmp_path / f).table().drop_columns(["seconds"]) for f in ("whole", "cut"))
    assert whole.num_rows == 2 * 3 * 2 * 3  # seeds, corpora, test sets, readings; the control has no row
    assert equal_tables(whole, cut)


def test_parts_of_the_episodes_come_to_the_same(go_on: Any) -> None:
    whole = go_on(folder="whole")
    parts: dict[tuple[str, str], float] = {}
    for corpus in ("birds", "ships", "bread"):
        parts |= go_on(folder=corpus, chosen=frozenset({(corpus, 0)}))
    assert parts == whole


def test_accumulation_changes_nothing(go_on: Any, make_data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = go_on(folder="whole")
    monkeypatch.setitem(QUIET, "accumulate_grad_batches", 4)
    cut = go_on(folder="cut", data=make_data(batch_size=2))
    assert cut == {key: pytest.approx(influence, rel=1e-4, abs=2e-6) for key, influence in whole.items()}


def test_other_readings_than_the_control_had_are_refused(go_on: Any) -> None:
    go_on(readings=1, chosen=frozenset({("birds", 0)}))
    with pytest.raises(UnlearningError, match="same steps and readings"):
        go_on(readings=3)


def test_the_default_rate_follows_the_width(go_on: Any, make_data: Any, model_folders: Any) -> None:
    module = Unlearning(model_folders("llama"), optimizer=continuation_adam)
    width = module.model_config.hidden_size
    assert rate_of_width(2 * width) == rate_of_width(width) / 2
    by_default = go_on(optimizer=continuation_adam, folder="default")
    spelled_out = go_on(optimizer=lambda p: torch.optim.Adam(p, lr=0.064 / width, fused=True), folder="spelled out")
    assert by_default == spelled_out


def test_a_control_that_got_worse_is_said() -> None:
    def losses(*values: float) -> DatasetLosses:
        return DatasetLosses(*(torch.tensor(values, dtype=torch.float64) for _ in range(4)))

    logger = ControlledInfluenceLogger()
    logger.baseline = losses(2.0, 3.0)
    logger.control = {(0, 2): losses(9.0, 9.0), (0, 4): losses(1.9, 3.05)}
    assert logger.notes() == []  # the last reading counts
    logger.control[0, 4] = losses(1.9, 3.15)
    (note,) = logger.notes()
    assert "by 0.15 nats per token: the learning rate is too high" in note
    logger.control[0, 4] = losses(1.9, float("nan"))
    assert "broke the model" in logger.notes()[0]


def test_phases_that_train_and_those_that_do_not(go_on: Any) -> None:
    assert go_on(folder="a", make=Pretraining) == go_on(folder="b", make=Unlearning)

    class Mine(Unlearning):
        def objective(self, seen: Any) -> Any:
            return -seen.forget.mean_loss()

    with pytest.raises(ConfigurationError, match="Mine defines what unlearning minimises"):
        go_on(folder="c", make=Mine)
