"""What is measured of many examples together: one measure a file."""

from lightning_untrac.metrics.of_sets.set_measure import SET_MEASURES, ExampleStates, ReadSet, SetMeasure

__all__ = ["SET_MEASURES", "ExampleStates", "ReadSet", "SetMeasure"]
