"""Which training corpora made a language model do this, and can it be taken out again?

The public names are imported on first use, so that ``import lightning_untrac`` costs nothing; ``__init__.pyi`` lists
them.
"""

from importlib.metadata import PackageNotFoundError, version

import lazy_loader

try:
    __version__ = version("lightning-untrac")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
