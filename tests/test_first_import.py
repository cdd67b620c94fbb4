"""In processes of their own: what is imported can't be taken back."""

import subprocess
import sys

import pytest

STAND_IN = """
import gc, sys
from lightning_untrac.first_import import SIGNAL, first_import
assert "torch" not in sys.modules
verb = first_import("lightning_untrac.verbs.trace")
assert verb.main and "torchmetrics" in sys.modules
assert SIGNAL not in sys.modules, "nothing that a verb imports needs it"
assert gc.isenabled() and gc.get_freeze_count() > 100_000
import scipy.signal
from scipy.signal import windows
assert scipy.signal.__file__ and abs(windows.hamming(3)[0] - 0.08) < 1e-12
"""

LATER = """
import sys
from lightning_untrac.first_import import SIGNAL, signal_processing_later
with signal_processing_later():
    import scipy.signal
    assert hasattr(scipy.signal, "hamming")
    {asks}
    assert sys.modules[SIGNAL].__file__, "whoever asks for more within gets SciPy's own"
import scipy.signal
assert scipy.signal.lfilter([1.0], [1.0], [2.0, 3.0]).tolist() == [2.0, 3.0]
"""


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_verb_comes_without_signal_processing_and_the_collector_goes_on_afterwards():
    run(STAND_IN)


@pytest.mark.parametrize(
    "asks", ["from scipy.signal import lfilter", "scipy.signal.lfilter", "import scipy.signal.windows"]
)
def test_who_needs_signal_processing_gets_it(asks):
    run(LATER.format(asks=asks))


def test_a_failed_import_leaves_nothing_behind():
    run(
        "import gc, sys\n"
        "from lightning_untrac.first_import import SIGNAL, first_import\n"
        "try: first_import('lightning_untrac.verbs.nothing')\n"
        "except ModuleNotFoundError: pass\n"
        "else: raise AssertionError\n"
        "assert gc.isenabled() and SIGNAL not in sys.modules"
    )
