"""Persona use: how often a reply draws on a fact of the persona."""

import math
import re
from collections import Counter

import datasets
import evaluate

_DESCRIPTION = """
A reply's overlap with a persona sentence is the summed weight of the content words that both have, over
that of the sentence's content words. A word weighs idf = ln((1 + N) / (1 + df)) + 1 over the N different
persona sentences of the call: rare words tell more. persona_overlap: the mean of the best overlap with any
sentence of the persona. persona_use: the share of replies whose best overlap is at least 1/3, that is one
telling word of three, in a typical sentence of three to five content words. Both range from 0 to 1; compare
with the human replies: a reply need not speak of the persona, and paraphrases are not seen. Words are
compared without a final s, e, es, ed or ing.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: the replies. references: per reply, the persona's sentences; replies without any are left
out. Returns: persona_use, persona_overlap: 0.0 where no reply has a persona. with_persona: how many replies
have one.
"""

USED_FROM_OVERLAP = 1 / 3

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ENDING = re.compile(r"(?<=\w{3})(?:ing|ed|es|e|(?<!s)s)$")
_STOP_WORDS = set(
    """
    a about after all also always am an and any are as at be because been but by can can't could did do does
    don't for from get go going got had has have he her his how i i'd i'll i'm i've if in into is it it's
    its just know like love lot lots make me more most much my myself never no not now of on one only or our
    out over people really she so some than that that's the their them then there they thing things this
    time to too two up very want was we well were what when where which who will with work would yes you
    you're your
    """.split()  # noqa: SIM905
)


def _content(text):
    words = _WORD.findall(text.lower())
    return {_ENDING.sub("", word) for word in words if word not in _STOP_WORDS}


class PersonaUse(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation="",
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(self, predictions, references):
        sentences = {sentence: _content(sentence) for persona in references for sentence in persona}
        frequency = Counter(word for words in sentences.values() for word in words)
        weight = {word: math.log((1 + len(sentences)) / (1 + count)) + 1 for word, count in frequency.items()}

        def overlap(said, sentence):
            words = sentences[sentence]
            total = math.fsum(sorted(weight[word] for word in words))
            return math.fsum(sorted(weight[word] for word in words & said)) / total if total else 0.0

        best = [
            max(overlap(_content(text), sentence) for sentence in persona)
            for text, persona in zip(predictions, references, strict=True)
            if persona
        ]
        count = len(best)
        return {
            "persona_use": sum(value >= USED_FROM_OVERLAP for value in best) / count if count else 0.0,
            "persona_overlap": math.fsum(best) / count if count else 0.0,
            "with_persona": count,
        }
