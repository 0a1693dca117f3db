"""The report of a two-choice measurement: one HTML file, and Markdown, CSV and JSON beside it."""

from cvalues.report.build import write
from cvalues.report.data import ModelFacts, ReportInput
from cvalues.report.export import Results, read_results, results_schema

__all__ = ["ModelFacts", "ReportInput", "Results", "read_results", "results_schema", "write"]
