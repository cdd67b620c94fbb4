"""How a method's class makes known what is said of it in tables, pictures and reports."""

from __future__ import annotations

from lightning_untrac.results.methods import MethodText, describe_method


def describe_class(cls: type) -> None:
    """Take what is said of a method from a method's class; of a base class without a ``method``, nothing.

    A subclass of another method that says nothing of its own is called by its name, not by its parent's title.

    Args:
        cls: with the attributes of ``Attribution`` or ``Scoring``.
    """
    own = vars(cls)
    if isinstance(method := own.get("method"), str):
        text = MethodText(
            own.get("title", method),
            own.get("summary", ""),
            getattr(cls, "steps_title", ""),
            getattr(cls, "starts_from", "the trained model"),
            getattr(cls, "signed", True),
            getattr(cls, "steady", False),
            getattr(cls, "finding", ""),
            own.get("precedence", 0),
            getattr(cls, "if_wrong", ""),
        )
        describe_method(method, text)
