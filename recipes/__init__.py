"""Shipped recipes: one yaml an experiment. Installed as ``lightning_untrac.recipes``."""

if __name__ != "lightning_untrac.recipes":
    raise ModuleNotFoundError("import lightning_untrac.recipes; there is no top-level package named 'recipes'")
