import dataclasses
import subprocess
import sys

import pyarrow as pa
import pytest

from lightning_untrac import results, tables
from lightning_untrac.tables import COMPARISON_SCHEMA, EXAMPLES_SCHEMA, INFLUENCE_SCHEMA, InfluenceRow

BASE = {
    "method": "untrac",
    "corpus": "c",
    "test_set": "t",
    "seed": 0,
    "step": 1,
    "final": True,
    "influence": 0.1,
}


def test_influence_schema_has_the_fields_of_the_row():
    assert INFLUENCE_SCHEMA.names == [f.name for f in dataclasses.fields(InfluenceRow)]
    types = {f.name: f.type for f in INFLUENCE_SCHEMA}
    assert types["seed"] == types["step"] == types["num_tokens"] == types["num_examples"] == pa.int64()
    assert types["final"] == pa.bool_()
    assert types["influence"] == types["loss_before"] == types["seconds"] == pa.float64()
    assert types["method"] == types["unit"] == types["status"] == pa.string()
    nullable = {f.name for f in INFLUENCE_SCHEMA if f.nullable}
    losses = {"loss_before", "loss_after", "example_loss_before", "example_loss_after", "guess_loss"}
    assert nullable == losses | {"part_losses_before", "part_losses_after", "part_weights"}
    assert {types[name] for name in nullable - losses} == {pa.list_(pa.float64())}


def test_other_schemas():
    assert EXAMPLES_SCHEMA.names[:5] == ["method", "corpus", "test_set", "seed", "example"]
    assert {"pearson", "spearman", "ci_low", "ci_high", "top1", "note"} <= set(COMPARISON_SCHEMA.names)


@pytest.mark.parametrize(
    "change", [{"status": "fine"}, {"step": -1}, {"influence": float("nan")}, {"influence": float("inf")}]
)
def test_rows_that_only_look_fine_are_refused(change):
    with pytest.raises(ValueError, match=r"\w"):
        InfluenceRow(**{**BASE, **change})
    if "influence" in change:
        InfluenceRow(**{**BASE, **change, "status": "nonfinite"})


def test_every_public_name_is_there_and_unknown_ones_are_not():
    for name in [*results.__all__, *tables.__all__]:  # the tables' names are also those of `results`
        assert getattr(results, name) is not None
    with pytest.raises(AttributeError, match=r"results attribute nothing"):
        results.nothing  # noqa: B018


def test_import_is_light():
    code = (
        "import sys, lightning_untrac.results as r; r.InfluenceStore; r.InfluenceMatrix;"
        "heavy = {'torch', 'pandas', 'matplotlib', 'wandb', 'lightning'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
