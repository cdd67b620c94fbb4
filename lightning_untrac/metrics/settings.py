"""What measures with settings are called in the tables."""

from __future__ import annotations

import inspect
import re
from typing import Any

from lightning_untrac.metrics.measure import Measure
from lightning_untrac.results.measures import MeasureText, describe_measure


def name_after_settings(measure: Measure, **settings: Any) -> None:
    """Give a measure a name of its own in the tables where its settings are not the usual ones.

    Args:
        measure: that was just made; as it is where all settings are its class' defaults.
        settings: of its ``__init__``, by name.

    Example:
        >>> from lightning_untrac.metrics.exact_extraction import ExactExtraction
        >>> ExactExtraction().name, ExactExtraction(prefix=20).name, ExactExtraction(length=50).title
        ('exact_extraction', 'exact_extraction_prefix_20', 'Exact extraction (length 50)')
    """
    usual = inspect.signature(type(measure).__init__).parameters
    other = {key: value for key, value in settings.items() if key not in usual or value != usual[key].default}
    if other:
        parts = [f"{key} {value}" for key, value in other.items()]
        title = getattr(measure, "title", measure.name)
        measure.name = re.sub(r"\W", "_", "_".join([measure.name, *parts]))  # type: ignore[misc]
        measure.title = f"{title} ({', '.join(parts)})"  # type: ignore[misc]
        describe_measure(measure.name, MeasureText.of(measure, measure.title))
