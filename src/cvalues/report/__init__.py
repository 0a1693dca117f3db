"""The report of a measurement, of two-choice items, free responses or both: one HTML file, and Markdown, CSV and JSON beside it."""

from cvalues.report.build import write
from cvalues.report.data import FreeInput, ModelFacts, ReportInput
from cvalues.report.export import Results, read_results, results_schema

__all__ = ["FreeInput", "ModelFacts", "ReportInput", "Results", "read_results", "results_schema", "write"]
