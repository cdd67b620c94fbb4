"""What is taken for an anti-sample, one rule a file."""

from lightning_untrac.antisamples.filters.anti_sample_filter import FILTERS, AntiSampleFilter, Candidate

__all__ = ["FILTERS", "AntiSampleFilter", "Candidate"]
