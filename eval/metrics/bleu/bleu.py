"""BLEU, by sacrebleu."""

import datasets
import evaluate
import sacrebleu

_DESCRIPTION = """
Corpus BLEU (Papineni et al., 2002) of the replies against the human ones, as sacrebleu computes it with its
defaults (13a tokenisation, exponential smoothing). Range 0 to 100; higher is more alike. For open
conversation, where many replies are good, it says little: expect single digits.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: the replies. references: the human replies. Returns: bleu: 0.0 where there is no reply.
"""

_CITATION = """
@inproceedings{post2018call, title={A Call for Clarity in Reporting BLEU Scores}, author={Post, Matt},
  booktitle={WMT}, year={2018}}
"""


class Bleu(evaluate.Metric):
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
        if not predictions:
            return {"bleu": 0.0}
        return {"bleu": sacrebleu.corpus_bleu(predictions, [references]).score}
