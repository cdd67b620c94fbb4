"""Ways of unlearning beside the descent of an objective: one method a file."""

from lightning_untrac.forgetting.method import FORGETTING_METHODS, ForgettingMethod

__all__ = ["FORGETTING_METHODS", "ForgettingMethod"]
