"""What is measured of a model beside models that never saw a forget set: one measure a file."""

from lightning_untrac.metrics.against.measure import AGAINST, AgainstRetrained, Sequences

__all__ = ["AGAINST", "AgainstRetrained", "Sequences"]
