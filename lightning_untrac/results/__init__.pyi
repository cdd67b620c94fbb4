"""Public names of the package."""

from .chance import verdicts as verdicts
from .comparison import ceiling_name as ceiling_name
from .comparison import compare as compare
from .interval_plot import plot_intervals as plot_intervals
from .matrix import InfluenceMatrix as InfluenceMatrix
from .matrix import influence_matrix as influence_matrix
from .matrix import methods_of as methods_of
from .ordering import in_configured_order as in_configured_order
from .panels import plot_trajectory as plot_trajectory
from .plots import plot_matrix as plot_matrix
from .plots import save_plots as save_plots
from .report import report_warnings as report_warnings
from .report import write_report as write_report
from .scatter import plot_scatter as plot_scatter
from .terminal import matrix_table as matrix_table
from .terminal import result_console as result_console
from .terminal_tables import comparison_table as comparison_table
from .terminal_tables import summary_table as summary_table
from .uncertainty import InfluenceIntervals as InfluenceIntervals
from .uncertainty import influence_intervals as influence_intervals
