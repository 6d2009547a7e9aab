"""Expectation-adjusted distinct: distinct-n without its dependence on the amount of text."""

import math
import re

import datasets
import evaluate

_DESCRIPTION = """
Expectation-adjusted distinct (Liu et al., 2022): N / (V * (1 - ((V - 1) / V) ** C)), the number of
different n-grams N over the number that C draws from V equally likely ones would be expected to give. Range
0 to about 1 (above 1 where the draws repeat less than chance would); higher is more varied. V is a
convention: take the largest vocabulary of the models that are compared.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: the replies. vocab_size: V. n: of the n-grams; words as in distinct_n. Returns: ead_1 (by
n): 0.0 where there is no n-gram.
"""

_CITATION = """
@inproceedings{liu2022rethinking,
  title={Rethinking and Refining the Distinct Metric},
  author={Liu, Siyang and Sabour, Sahand and Zheng, Yinhe and Ke, Pei and Zhu, Xiaoyan and Huang, Minlie},
  booktitle={ACL}, year={2022}}
"""

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")


class ExpectationAdjustedDistinct(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions, vocab_size=50257, n=1):
        replies = [_WORD.findall(text.lower()) for text in predictions]
        ngrams = [tuple(reply[start : start + n]) for reply in replies for start in range(len(reply) - n + 1)]
        if not ngrams:
            return {f"ead_{n}": 0.0}
        # In logarithms, since ((V - 1) / V) ** C loses all digits for a large V.
        expected = -vocab_size * math.expm1(len(ngrams) * math.log1p(-1 / vocab_size))
        return {f"ead_{n}": len(set(ngrams)) / expected}
