"""Schemas and files: written whole or not at all.

Names are loaded on first use, so that importing this costs nothing; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
