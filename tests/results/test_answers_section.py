"""Texts before and after in the report: escaped, and whatever has another form passed over."""

from typing import Any

import pytest

from lightning_untrac.results.answers_section import continuations_section

NASTY = '<script>alert("1")</script>'


def test_each_model_has_a_column() -> None:
    rows = [{"dataset": "forum", "opening": f"You {NASTY}", "said": {"original": NASTY, "retrained": "\x1b\n"}}]
    page = continuations_section({"continuations": {"forum": rows}})
    assert "<script>" not in page
    for part in ("<th>original</th>", "<th>retrained</th>", "You &lt;script&gt;", "(nothing)"):
        assert part in page


@pytest.mark.parametrize("told", [None, [], "x", {"forum": 3}, {"forum": [3, {"said": 4}]}])
def test_another_form_is_passed_over(told: Any) -> None:
    assert continuations_section({"continuations": told}) == ""
