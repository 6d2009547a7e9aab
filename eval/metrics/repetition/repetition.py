"""Repetition: what a reply says again, of itself, of the speaker's earlier turns, of the prompt."""

import re

import datasets
import evaluate

_DESCRIPTION = """
Four shares, each from 0 to 1; lower is less repetitive. self_repetition: the mean over replies of 1 -
different trigrams / trigrams (the complement of distinct-3 within a reply; Welleck et al., 2020, call it
seq-rep-n). earlier_repetition: the mean share of a reply's trigrams that its speaker said in an earlier
turn. copied_share: the mean share of a reply's 4-grams that stand in the prompt, persona included.
repeated_replies: the share of replies that are, but for case and marks, a whole earlier turn of the
speaker. A reply too short for an n-gram counts 0.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: the replies. earlier: per reply, the speaker's own earlier turns. prompts: per reply, the
text before it. Returns: self_repetition, earlier_repetition, copied_share, repeated_replies: 0.0 where
there is no reply.
"""

_CITATION = """
@inproceedings{welleck2020neural,
  title={Neural Text Generation with Unlikelihood Training},
  author={Welleck, Sean and Kulikov, Ilia and Roller, Stephen and Dinan, Emily and Cho, Kyunghyun and
          Weston, Jason},
  booktitle={ICLR}, year={2020}}
"""

_WORD = re.compile(r"\w+(?:'\w+)*")


def _words(text):
    return _WORD.findall(text.lower())


def _ngrams(words, n):
    return [tuple(words[start : start + n]) for start in range(len(words) - n + 1)]


def _share_in(ngrams, known):
    return sum(ngram in known for ngram in ngrams) / len(ngrams) if ngrams else 0.0


class Repetition(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "earlier": datasets.Sequence(datasets.Value("string")),
                    "prompts": datasets.Value("string"),
                }
            ),
        )

    def _compute(self, predictions, earlier, prompts):
        shares = {"self_repetition": [], "earlier_repetition": [], "copied_share": [], "repeated_replies": []}
        for text, turns, prompt in zip(predictions, earlier, prompts, strict=True):
            words = _words(text)
            trigrams = _ngrams(words, 3)
            said = [_words(turn) for turn in turns]
            said_trigrams = {trigram for turn in said for trigram in _ngrams(turn, 3)}
            shares["self_repetition"].append(1 - len(set(trigrams)) / len(trigrams) if trigrams else 0.0)
            shares["earlier_repetition"].append(_share_in(trigrams, said_trigrams))
            shares["copied_share"].append(_share_in(_ngrams(words, 4), set(_ngrams(_words(prompt), 4))))
            shares["repeated_replies"].append(float(bool(words) and words in said))
        return {name: sum(values) / len(values) if values else 0.0 for name, values in shares.items()}
