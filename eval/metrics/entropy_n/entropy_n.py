"""Entropy of n-grams: how evenly a set of replies uses its phrases."""

import math
import re
from collections import Counter

import datasets
import evaluate

_DESCRIPTION = """
Entropy-n (Zhang et al., 2018): -sum over n-grams of p * ln p, where p is an n-gram's share of all n-grams
in the replies. In nats, from 0 (always the same) to ln of their number (never the same); higher is more
varied. It grows with the amount of text, so compare only sets of the same number of replies of about the
same length.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: the replies. n: of the n-grams; words as in distinct_n. Returns: entropy_4 (by n): 0.0
where there is no n-gram.
"""

_CITATION = """
@inproceedings{zhang2018generating,
  title={Generating Informative and Diverse Conversational Responses via Adversarial Information
         Maximization},
  author={Zhang, Yizhe and Galley, Michel and Gao, Jianfeng and Gan, Zhe and Li, Xiujun and
          Brockett, Chris and Dolan, Bill},
  booktitle={NeurIPS}, year={2018}}
"""

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")


class EntropyN(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions, n=4):
        counts = Counter()
        for text in predictions:
            words = _WORD.findall(text.lower())
            counts.update(tuple(words[start : start + n]) for start in range(len(words) - n + 1))
        total = sum(counts.values())
        shares = sorted(count / total for count in counts.values())
        return {f"entropy_{n}": abs(math.fsum(-share * math.log(share) for share in shares))}
