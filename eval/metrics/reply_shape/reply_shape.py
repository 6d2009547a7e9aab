"""The shape of replies: how long, how many questions, how many that say nothing."""

import re

import datasets
import evaluate

_DESCRIPTION = """
mean_words: words a reply, from 0; words are runs of letters and digits with inner apostrophes, and single
marks. questions: the share of replies that end in a question mark. empty: the share without a letter or
digit; lower is better. fallback: the share that a chat would not have shown but drawn anew, as told by the
caller; lower is better. Shares range from 0 to 1. None of them says that replies are good: compare length
and questions with human replies.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: the replies. fallback: per reply, whether a chat would have drawn it anew. Returns:
mean_words, questions, empty, fallback: 0.0 where there is no reply.
"""

_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s]")
_QUESTION = re.compile(r"\?[\"')\s!]*$")


class ReplyShape(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "fallback": datasets.Value("bool")}
            ),
        )

    def _compute(self, predictions, fallback):
        sums = {
            "mean_words": sum(len(_WORD.findall(text)) for text in predictions),
            "questions": sum(bool(_QUESTION.search(text)) for text in predictions),
            "empty": sum(not any(map(str.isalnum, text)) for text in predictions),
            "fallback": sum(map(bool, fallback)),
        }
        return {name: total / len(predictions) if predictions else 0.0 for name, total in sums.items()}
