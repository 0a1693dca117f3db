"""The pair export under its former name; it lives in `workflows.pairs_export`."""

from cvalues.workflows.pairs_export import SPLITS, export_pairs

__all__ = ["SPLITS", "export_pairs"]
