"""distinct-n: how varied a set of replies is."""

import re

import datasets
import evaluate

_DESCRIPTION = """
distinct-n (Li et al., 2016): the number of different n-grams in all replies together / the number of words
in all replies together. Range 0 to 1; higher is more varied. ParlAI and much other code divide by the
number of n-grams instead: that is distinct_n_over_ngrams, range 0 to 1. n-grams do not cross replies. Words
are lower-cased runs of letters and digits with inner apostrophes, and single marks. Both fall as the amount
of text grows, so compare only sets of the same number of replies of about the same length.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: the replies. n_values: which n to report. Returns: distinct_1, distinct_2, ...: one
figure per n; 0.0 where there is no word. distinct_1_over_ngrams, ...: the same over n-grams; 0.0 where
there is no n-gram. words: the number of words.
"""

_CITATION = """
@inproceedings{li2016diversity,
  title={A Diversity-Promoting Objective Function for Neural Conversation Models},
  author={Li, Jiwei and Galley, Michel and Brockett, Chris and Gao, Jianfeng and Dolan, Bill},
  booktitle={NAACL}, year={2016}}
"""

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")


class DistinctN(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Value("string")}),
        )

    def _compute(self, predictions, n_values=(1, 2, 3)):
        replies = [_WORD.findall(text.lower()) for text in predictions]
        words = sum(map(len, replies))
        figures = {}
        for n in n_values:
            ngrams = [
                tuple(reply[start : start + n]) for reply in replies for start in range(len(reply) - n + 1)
            ]
            different = len(set(ngrams))
            figures[f"distinct_{n}"] = different / words if words else 0.0
            figures[f"distinct_{n}_over_ngrams"] = different / len(ngrams) if ngrams else 0.0
        return {**figures, "words": words}
