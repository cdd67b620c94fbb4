"""``python -m lightning_untrac`` is ``untrac``."""

from lightning_untrac.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
