"""GA: plain ascent on every text, ended by how far they are memorised."""

from __future__ import annotations

from typing import Any, ClassVar

from typing_extensions import override

from lightning_untrac.forgetting.memorised import Stop
from lightning_untrac.forgetting.sga import SGA


class GA(SGA):
    """Gradient ascent on the whole forget set until it is memorised no more than unseen text: the baseline beside SGA.

    Jang et al. 2022 (arXiv 2210.01504): an effective batch is the whole forget set, and the mean memorisation accuracy
    ends it. Their rule also reads extraction likelihood; ours does not. The rule, its levels and what is logged are
    SGA's; it is SGA with a threshold of 0.

    Args:
        stop: as SGA's; the authors' by default.
        level: as SGA's.
    """

    name: ClassVar[str] = "ga"

    def __init__(self, stop: Stop = "mean", level: float | None = None) -> None:
        super().__init__(0.0, stop, level)

    @override
    def prepare(self, module: Any) -> list[str]:
        super().prepare(module)
        return ["ascent on every text of the forget set"]
