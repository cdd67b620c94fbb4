"""Values that nobody means, in flags and configurations: a short message that names the key, and nothing is run."""

from __future__ import annotations

import copy
import json

import pytest
import yaml

NAN, INF, HUGE = float("nan"), float("inf"), 10**30
VALUES = [
    *[("steps", value) for value in ("x", -1, NAN, HUGE)],
    *[("passes", value) for value in (0, INF, 1e300)],
    *[("seeds", value) for value in ([-1], [1.5], None)],
    *[("readings", value) for value in ([], ["x"])],
    ("collapse_cap", NAN),
    ("read_at_own_rise", -1),
    *[("method", value) for value in ("", None, "\u00fcn\u00ef", "a\0b")],
    ("max_examples", 0),
    ("overwrite", 5),
    *[("model.name_or_path", value) for value in ("x" * 5000, {"a": 1})],
    ("model.trainable", ["["]),
    ("model.lora", {"r": -1}),
    ("model.init_seed", -1),
    *[("model.optimizer", {"class_path": path, "init_args": {"lr": NAN}}) for path in ("torch.optim.SGD", "os.system")],
    *[("data.batch_size", value) for value in (0, 1.5, [4])],
    ("data.num_workers", -1),
    ("data.report_texts", -1),
    *[("data.corpora", value) for value in ("x", [None])],
    *[("data.corpora[0].name", value) for value in ("a\0b", [1])],
    *[("data.corpora[0].num_examples", value) for value in (-1, HUGE)],
    ("data.corpora[0].share", NAN),
    ("data.corpora[0].where", 5),
    ("data.corpora[0].transform", "nope.f"),
    *[("trainer.devices", value) for value in ("x", 0)],
    ("trainer.callbacks", [{"class_path": "os.system"}]),
    *[("trainer.gradient_clip_val", value) for value in (-1, NAN)],
]

NUMBERED = [(number, *pair) for number, pair in enumerate(VALUES)]


def refused(ran, key):
    assert ran.code not in (0, None), ran.text
    assert "Traceback" not in ran.text
    assert len(ran.text.splitlines()) <= 15, ran.text
    assert key.rpartition(".")[2] in ran.text


@pytest.fixture
def command(untrac, config, tmp_path):
    """Run ``trace`` on a configuration in which every other value is right."""
    content = yaml.safe_load(config().read_text()) | {"output": str(tmp_path / "out"), "method": "untrac", "steps": 1}

    def run(key, value, *, flag):
        own = copy.deepcopy(content)
        if key in ("passes", "read_at_own_rise"):
            del own["steps"]
        if not flag:
            *parts, last = key.replace("[0]", ".0").split(".")
            target = own
            for part in parts:
                target = target[int(part)] if isinstance(target, list) else target[part]
            target[last] = value
        path = tmp_path / "own.yaml"
        path.write_text(yaml.safe_dump(own))
        text = json.dumps(value).replace("NaN", ".nan").replace("Infinity", ".inf")
        flags = [f"--{key}={value if isinstance(value, str) else text}"] if flag else []
        return untrac("trace", "--config", path, *flags)

    return run


# jsonargparse warns, too, where a class path leads to a function.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("number", "key", "value"), [(n, *pair) for n, pair in enumerate(VALUES)], ids=lambda part: repr(part)[:20]
)
def test_a_value_that_nobody_means(command, tmp_path, number, key, value):
    refused(command(key, value, flag=number % 2 == 0 and "[" not in key), key)
    assert not (tmp_path / "out" / "influence.parquet").exists()
