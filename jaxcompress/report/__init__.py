"""What people look at: progress, tables, pictures."""

from jaxcompress.report.judge import error_of, save_and_judge
from jaxcompress.report.member import Member
from jaxcompress.report.plot import plot_fronts
from jaxcompress.report.progress import BatchProgress, SearchProgress
from jaxcompress.report.table import comparison_table, front_table, write_csv

__all__ = [
    "BatchProgress",
    "Member",
    "SearchProgress",
    "comparison_table",
    "error_of",
    "front_table",
    "plot_fronts",
    "save_and_judge",
    "write_csv",
]
