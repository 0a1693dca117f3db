"""From outcomes to numbers: scores by group, paired comparison of models, leaderboard."""

from cvalues.scoring.compare import Change, Comparison, Leaderboard, PairTest, Standing, compare, leaderboard
from cvalues.scoring.levels import ChoiceScore, score
from cvalues.scoring.outcomes import ItemOutcome

__all__ = [
    "Change",
    "ChoiceScore",
    "Comparison",
    "ItemOutcome",
    "Leaderboard",
    "PairTest",
    "Standing",
    "compare",
    "leaderboard",
    "score",
]
