"""Token F1: the words that a reply shares with the human one."""

import re
from collections import Counter

import datasets
import evaluate

_DESCRIPTION = """
Token F1 as ParlAI and ConvAI2 compute it: 2PR / (P + R) over the multisets of words of reply and reference,
the mean over replies. Before, both are lower-cased, and punctuation and the articles a, an, the are
removed. Range 0 to 1; higher is more alike, but a good reply may share no word with the human one. 0 where
either has no word left.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: the replies. references: the human replies. Returns: token_f1: 0.0 where there is no
reply.
"""

_CITATION = """
@inproceedings{miller2017parlai,
  title={ParlAI: A Dialog Research Software Platform},
  author={Miller, Alexander and others}, booktitle={EMNLP}, year={2017}}
"""

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = re.compile(r"[!\"#$%&()*+,-./:;<=>?@\[\]\\^`{|}~_']")


def _words(text):
    return _ARTICLE.sub(" ", _PUNCTUATION.sub(" ", text.lower())).split()


def _f1(prediction, reference):
    shared = sum((Counter(prediction) & Counter(reference)).values())
    return 2 * shared / (len(prediction) + len(reference)) if shared else 0.0


class TokenF1(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )

    def _compute(self, predictions, references):
        scores = [_f1(_words(own), _words(human)) for own, human in zip(predictions, references, strict=True)]
        return {"token_f1": sum(scores) / len(scores) if scores else 0.0}
