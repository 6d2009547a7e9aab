"""Conversation loops: how many conversations come back to the same utterance over and over."""

import re
from collections import Counter

import datasets
import evaluate

_DESCRIPTION = """
looping_conversations: the share of conversations in which one utterance, but for case and marks, is made at
least three times, whoever of the speakers makes it. Range 0 to 1; lower is better. The longer a conversation
the likelier a short answer comes back, so compare only conversations of the same number of turns. Utterances
without a letter or digit are left out.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: per conversation, its utterances. times: from how many on it is a loop. Returns:
looping_conversations: 0.0 where there is no conversation.
"""

_WORD = re.compile(r"\w+(?:'\w+)*")


def _is_looping(utterances, times):
    counts = Counter(tuple(_WORD.findall(text.lower())) for text in utterances)
    return any(words and count >= times for words, count in counts.items())


class ConversationLoops(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": datasets.Sequence(datasets.Value("string"))}),
        )

    def _compute(self, predictions, times=3):
        looping = sum(_is_looping(utterances, times) for utterances in predictions)
        return {"looping_conversations": looping / len(predictions) if predictions else 0.0}
