"""The study: one database that holds everything that was asked, answered and judged."""

from cvalues.study.store import Asked, Planned, Received, Study, open_study

__all__ = ["Asked", "Planned", "Received", "Study", "open_study"]
