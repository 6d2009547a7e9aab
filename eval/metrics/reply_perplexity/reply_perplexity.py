"""Reply perplexity: how surprised a model is by the human replies, at corpus level."""

import math

import datasets
import evaluate

_DESCRIPTION = """
Corpus perplexity of replies: exp(total negative log-likelihood / total reply tokens). Range 1 (never
surprised) to infinity. It compares models only where they score the same tokens; bits per byte, total
negative log-likelihood in bits / total UTF-8 bytes, also compares models of different tokenizers. Every token
counts once, so long replies weigh more than short ones; the mean of per-reply perplexities would be another,
larger figure. Source: Jelinek et al., 1977.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: per reply, the negative log-likelihood of each token, in nats (shape: replies x tokens).
    references: the replies' texts, for their bytes.
Returns:
    perplexity: see the description; 1.0 where there is no token.
    bits_per_byte: 0.0 where there is no byte.
    tokens: how many tokens were scored.
"""

_CITATION = """
@article{jelinek1977perplexity, title={Perplexity - a measure of the difficulty of speech recognition tasks},
  author={Jelinek, F. and Mercer, R. L. and Bahl, L. R. and Baker, J. K.},
  journal={Journal of the Acoustical Society of America}, year={1977}}
"""


def _exp(nats):
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


class ReplyPerplexity(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {
                    "predictions": datasets.Sequence(datasets.Value("float64")),
                    "references": datasets.Value("string"),
                }
            ),
        )

    def _compute(self, predictions, references):
        tokens = sum(len(reply) for reply in predictions)
        nats = math.fsum(loss for reply in predictions for loss in reply)
        text_bytes = sum(len(text.encode("utf-8")) for text in references)
        return {
            "perplexity": _exp(nats / tokens) if tokens else 1.0,
            "bits_per_byte": nats / math.log(2) / text_bytes if text_bytes else 0.0,
            "tokens": tokens,
        }
