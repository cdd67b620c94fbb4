"""Public names of the package."""

from .files import atomic_path as atomic_path
from .files import atomic_write_bytes as atomic_write_bytes
from .files import check_writable as check_writable
from .files import equal_tables as equal_tables
from .files import read_table as read_table
from .files import write_table as write_table
from .measurements import MEASUREMENTS_SCHEMA as MEASUREMENTS_SCHEMA
from .measurements import SUMMARY_SCHEMA as SUMMARY_SCHEMA
from .measurements import read_measurements as read_measurements
from .measurements import read_summary as read_summary
from .schema import COMPARISON_SCHEMA as COMPARISON_SCHEMA
from .schema import EXAMPLES_SCHEMA as EXAMPLES_SCHEMA
from .schema import INFLUENCE_SCHEMA as INFLUENCE_SCHEMA
from .schema import NATS_PER_TOKEN as NATS_PER_TOKEN
from .schema import NATS_PER_TOKEN_MEAN_OF_EXAMPLES as NATS_PER_TOKEN_MEAN_OF_EXAMPLES
from .schema import RELATIVE as RELATIVE
from .schema import STATUSES as STATUSES
from .schema import UNITS as UNITS
from .schema import InfluenceRow as InfluenceRow
from .schema import ResultsError as ResultsError
from .store import InfluenceStore as InfluenceStore
