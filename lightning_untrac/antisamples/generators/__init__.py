"""What writes anti-samples, one way a file."""

from lightning_untrac.antisamples.generators.generator import GENERATORS, Asked, Generator, Written

__all__ = ["GENERATORS", "Asked", "Generator", "Written"]
