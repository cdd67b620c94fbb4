"""The outputs of the model before unlearning equal those of a deep copy that was frozen before the first step."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import terms
import torch
from lightning.pytorch.callbacks import Callback

from lightning_untrac import EpisodePlan, PreUnlearningWeights, Unlearning
from lightning_untrac.errors import UnlearningError
from lightning_untrac.functional import example_losses, shift_labels_left
from lightning_untrac.modules.reference import AdaptersOff, SwappedWeights
from lightning_untrac.objectives import Objective, RetainKL

LORA = {"r": 2, "target_modules": ["c_attn"], "fan_in_fan_out": True}


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


class Copied(Callback):
    """Holds what each step sees of the reference against a copy that was made before the first step of an episode."""

    def __init__(self) -> None:
        self.compared = 0
        self.moved = 0.0
        self.stands: set[type] = set()

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.frozen = copy.deepcopy(pl_module.model).eval()
        self.see = self.see if hasattr(self, "see") else pl_module.see
        pl_module.see = self.checked(pl_module)

    def checked(self, module: Any) -> Any:
        def see(batch: Any) -> Any:
            before = {name: p.detach().clone() for name, p in module.model.named_parameters()}
            seen = self.see(batch)
            self.stands.add(type(module.reference._stand))
            for name, parameter in module.model.named_parameters():
                assert torch.equal(parameter, before[name]), name
                assert parameter.requires_grad == dict(self.frozen.named_parameters())[name].requires_grad
            for outputs in (seen.forget, seen.retain):
                one = outputs.batch
                with torch.no_grad():
                    found = self.frozen(
                        input_ids=one["input_ids"], attention_mask=one.get("attention_mask"), output_hidden_states=True
                    )
                if outputs.reference_logits is not None:
                    close(outputs.reference_logits, found.logits)
                    assert not outputs.reference_logits.requires_grad
                    self.moved = max(self.moved, float((outputs.logits - found.logits).detach().abs().max()))
                if outputs.reference_hidden_states is not None:
                    close(outputs.reference_hidden_states[-1], found.hidden_states[-1])
                if outputs.reference_log_probs is not None:
                    sums, _ = example_losses(found.logits, shift_labels_left(one["labels"]))
                    close(outputs.reference_log_probs, -sums)
                self.compared += 1
            return seen

        return see


def all_needs() -> Objective:
    return Objective(forget=terms.SequenceTerm(), retain=[RetainKL(5.0), terms.HiddenStates(0.5)])


@pytest.mark.parametrize(
    ("lora", "expected"),
    [(None, SwappedWeights), (LORA, AdaptersOff), ({**LORA, "init_lora_weights": False}, SwappedWeights)],
    ids=["all weights", "fresh adapters", "adapters that begin with an effect"],
)
@pytest.mark.parametrize("dropout", [False, True])
def test_the_reference_is_the_model_before_unlearning(
    lora: Any, expected: type, dropout: bool, trace: Any, make_data: Any, tiny_configs: Any, model_folders: Any
) -> None:
    module = Unlearning(
        model_folders("gpt2", "float64"), dtype="float64", lora=lora, dropout=dropout,
        unlearning_objective=all_needs(), optimizer=lambda p: torch.optim.SGD(p, lr=0.3),
    )  # fmt: skip
    copied = Copied()
    trace(data=make_data(batch_size=4), module=module, steps=3, callbacks=(copied,))
    assert copied.compared == 3 * 3 * 2
    assert copied.moved > 1e-4
    assert copied.stands == {expected}
    assert module.reference._stand is None  # and nothing outlives the fit
    assert module.reference.start_weights is None


def test_the_start_weights_are_kept_once(trace: Any, make_data: Any) -> None:
    class Look(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
            kept = next(c for c in trainer.callbacks if isinstance(c, PreUnlearningWeights))._kept
            for name, tensor in pl_module.reference.start().items():
                assert tensor.data_ptr() == kept[name].data_ptr()
            self.seen = True

    look = Look()
    trace(data=make_data(batch_size=4), callbacks=(look,), module_options={"unlearning_objective": all_needs()})
    assert look.seen


def test_cached_log_probabilities_keep_no_weights(trace: Any, make_data: Any) -> None:
    class Look(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, *_: Any) -> None:
            assert pl_module.reference.start_weights is None
            self.seen = True

    look = Look()
    objective = Objective(forget=terms.SequenceTerm())
    trace(data=make_data(batch_size=4), callbacks=(look,), module_options={"unlearning_objective": objective})
    assert look.seen
    with pytest.raises(UnlearningError, match="there was none yet"):
        Unlearning("a", unlearning_objective=all_needs()).reference.start()


def test_a_second_fit_has_a_reference_of_its_own(make_data: Any, model_folders: Any) -> None:
    """The weights that the first fit has left are where the second one begins: every term is at its start again."""
    import lightning.pytorch as L

    module = Unlearning(
        model_folders("gpt2", "float64"), dtype="float64", optimizer=lambda p: torch.optim.SGD(p, lr=0.5),
        unlearning_objective=Objective(forget=terms.SequenceTerm(), retain=[RetainKL()]),
    )  # fmt: skip
    first = []

    class Look(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 0:
                first.append({k: float(v) for k, v in trainer.callback_metrics.items() if k.endswith("_term")})

    for _ in range(2):
        data = make_data(batch_size=4)
        data.plan = EpisodePlan("one", only=("birds",), steps=3)
        L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, limit_val_batches=0, enable_checkpointing=False, callbacks=[Look()],
        ).fit(module, datamodule=data)  # fmt: skip
    for terms_of_step in first:
        assert terms_of_step["train/forget_term"] == pytest.approx(20 * math.log(2), rel=1e-6)
        assert terms_of_step["train/retain_term"] == pytest.approx(0, abs=1e-9)
    assert len(first) == 2


def test_a_failed_forward_pass_leaves_the_weights_where_they_were(make_data: Any, model_folders: Any) -> None:
    module = Unlearning(model_folders(), unlearning_objective=all_needs())
    module.configure_model()
    module.reference.prepare = lambda: None  # type: ignore[method-assign]
    weights = {name: p.detach().clone() for name, p in module.trainable_parameters().items()}
    module.reference.start_weights = {name: w + 1 for name, w in weights.items()}

    def fails() -> None:
        with SwappedWeights().in_place(module):
            assert all(torch.equal(p, weights[name] + 1) for name, p in module.trainable_parameters().items())
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fails()
    assert all(torch.equal(p, weights[name]) for name, p in module.trainable_parameters().items())


def test_a_checkpoint_of_another_start_is_refused(make_data: Any, model_folders: Any, tmp_path: Any) -> None:
    import lightning.pytorch as L

    def fit(name: str, **options: Any) -> None:
        data = make_data(batch_size=4)
        data.plan = EpisodePlan("one", only=("birds",), steps=4)
        module = Unlearning(name, unlearning_objective=Objective(retain=[RetainKL()]))
        trainer = L.Trainer(
            max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            num_sanity_val_steps=0, limit_val_batches=0, enable_checkpointing=False,
            callbacks=options.pop("callbacks", []),
        )  # fmt: skip
        trainer.fit(module, datamodule=data, **options)

    class Save(Callback):
        def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 1:
                trainer.save_checkpoint(tmp_path / "middle.ckpt")

    fit(model_folders(), callbacks=[Save()])
    saved = torch.load(tmp_path / "middle.ckpt", weights_only=True)
    (state,) = [state for name, state in saved["callbacks"].items() if "EpisodeState" in name]
    assert set(state["reference"]) == {"start"}  # a checksum, no second copy of the weights
    from transformers import AutoModelForCausalLM

    other = AutoModelForCausalLM.from_pretrained(model_folders())
    with torch.no_grad():
        next(other.parameters()).mul_(2)
    other.save_pretrained(tmp_path / "other")
    module = Unlearning(model_folders())
    module.tokenizer.save_pretrained(tmp_path / "other")
    with pytest.raises(UnlearningError, match="began from other weights"):
        fit(str(tmp_path / "other"), ckpt_path=tmp_path / "middle.ckpt", weights_only=True)
