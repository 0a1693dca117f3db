"""Statistics: intervals, paired tests, power, ranking; numbers in, estimates out."""

from cvalues.stats.bootstrap import bootstrap_mean
from cvalues.stats.intervals import (
    clopper_pearson,
    clustered_mean,
    clustered_proportion,
    mean_of,
    ratio,
    wilson,
)
from cvalues.stats.paired import (
    FlipTest,
    PairedDifference,
    benjamini_hochberg,
    holm,
    mcnemar_exact,
    paired_difference,
    sign_flip,
)
from cvalues.stats.power import clusters_needed, clusters_needed_proportion, smallest_detectable
from cvalues.stats.ranking import groups, letters, rank_range

__all__ = [
    "FlipTest",
    "PairedDifference",
    "benjamini_hochberg",
    "bootstrap_mean",
    "clopper_pearson",
    "clustered_mean",
    "clustered_proportion",
    "clusters_needed",
    "clusters_needed_proportion",
    "groups",
    "holm",
    "letters",
    "mcnemar_exact",
    "mean_of",
    "paired_difference",
    "rank_range",
    "ratio",
    "sign_flip",
    "smallest_detectable",
    "wilson",
]
