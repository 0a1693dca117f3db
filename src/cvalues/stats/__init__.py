"""Statistics: intervals, paired tests, power, ranking, agreement, aggregation, corrected rates; numbers in, estimates out."""

from cvalues.stats.aggregation import majority, majority_rate, mean_score
from cvalues.stats.agreement import (
    cohen_kappa,
    fleiss_kappa,
    gwet_ac,
    krippendorff_alpha,
    rating_counts,
    raw_agreement,
    set_alpha,
)
from cvalues.stats.association import across_models, bias, kendall, mean_absolute_error, spearman
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
from cvalues.stats.prevalence import CardCounts, HumanSample, prediction_powered, rogan_gladen
from cvalues.stats.ranking import groups, letters, rank_range
from cvalues.stats.resampling import Resampling
from cvalues.stats.severity import additive_model

__all__ = [
    "CardCounts",
    "FlipTest",
    "HumanSample",
    "PairedDifference",
    "Resampling",
    "across_models",
    "additive_model",
    "benjamini_hochberg",
    "bias",
    "bootstrap_mean",
    "clopper_pearson",
    "clustered_mean",
    "clustered_proportion",
    "clusters_needed",
    "clusters_needed_proportion",
    "cohen_kappa",
    "fleiss_kappa",
    "groups",
    "gwet_ac",
    "holm",
    "kendall",
    "krippendorff_alpha",
    "letters",
    "majority",
    "majority_rate",
    "mcnemar_exact",
    "mean_absolute_error",
    "mean_of",
    "mean_score",
    "paired_difference",
    "prediction_powered",
    "rank_range",
    "rating_counts",
    "ratio",
    "raw_agreement",
    "rogan_gladen",
    "set_alpha",
    "sign_flip",
    "smallest_detectable",
    "spearman",
    "wilson",
]
