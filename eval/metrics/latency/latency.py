"""Latency: how long a reader waits for a reply to begin, and how fast it then grows."""

import datasets
import evaluate
import numpy

_DESCRIPTION = """
time_to_first_token_p50 and _p95: the seconds from the request to the first token that half and 95 % of
replies do not exceed; lower is better. tokens_per_second_p50 and _p95: the speed after the first token that
half and 95 % of replies reach or exceed, so the second is the smaller one; higher is better. Percentiles
are interpolated linearly.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: per reply, the seconds to its first token. references: per reply, the seconds between its
following tokens; replies of one token have none. Returns: time_to_first_token_p50, time_to_first_token_p95,
tokens_per_second_p50, tokens_per_second_p95: 0.0 where there is nothing to measure.
"""


def _percentile(values, percent):
    return float(numpy.percentile(values, percent)) if values else 0.0


class Latency(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("float64"),
                    "references": datasets.Sequence(datasets.Value("float64")),
                }
            ),
        )

    def _compute(self, predictions, references):
        speeds = [len(gaps) / sum(gaps) for gaps in references if sum(gaps) > 0]
        return {
            "time_to_first_token_p50": _percentile(predictions, 50),
            "time_to_first_token_p95": _percentile(predictions, 95),
            "tokens_per_second_p50": _percentile(speeds, 50),
            "tokens_per_second_p95": _percentile(speeds, 5),
        }
