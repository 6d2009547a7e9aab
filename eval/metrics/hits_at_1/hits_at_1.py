"""hits@1: how often a model finds the true reply among candidates."""

import datasets
import evaluate

_DESCRIPTION = """
hits@1 (as in ConvAI2, Dinan et al., 2019): the share of replies whose true candidate has the highest score.
mean_reciprocal_rank: the mean of 1 / rank of the true one. Both range from 0 to 1; higher is better;
guessing gives 1 / candidates. A tie counts against the model: the rank is the number of candidates that
score at least as high. The score is the caller's; ours is the mean log-likelihood of a candidate's tokens.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: per reply, the candidates' scores. references: per reply, the index of the true one.
Returns: hits_at_1, mean_reciprocal_rank: 0.0 where there is no reply. candidates: how many there were on
average.
"""

_CITATION = """
@article{dinan2019second,
  title={The Second Conversational Intelligence Challenge (ConvAI2)},
  author={Dinan, Emily and others}, journal={arXiv:1902.00098}, year={2019}}
"""


class HitsAt1(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("int64"),
                }
            ),
        )

    def _compute(self, predictions, references):
        ranks = [
            sum(not score < scores[true] for score in scores)
            for scores, true in zip(predictions, references, strict=True)
        ]
        count = len(ranks)
        return {
            "hits_at_1": sum(rank == 1 for rank in ranks) / count if count else 0.0,
            "mean_reciprocal_rank": sum(1 / rank for rank in ranks) / count if count else 0.0,
            "candidates": sum(map(len, predictions)) / count if count else 0.0,
        }
