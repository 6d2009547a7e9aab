"""ROUGE-L, by rouge-score."""

import datasets
import evaluate
from rouge_score import rouge_scorer, tokenizers

_DESCRIPTION = """
ROUGE-L (Lin, 2004): the F-measure of the longest common subsequence of words of reply and human reply, the
mean over replies, as rouge-score computes it without stemming. Range 0 to 1; higher is more alike. Its
tokeniser knows the letters a to z and digits only: text in other scripts scores 0.
"""

_KWARGS_DESCRIPTION = """
Args: predictions: the replies. references: the human replies. Returns: rouge_l: 0.0 where there is no
reply.
"""

_CITATION = """
@inproceedings{lin2004rouge, title={ROUGE: A Package for Automatic Evaluation of Summaries},
  author={Lin, Chin-Yew}, booktitle={Text Summarization Branches Out}, year={2004}}
"""


class RougeL(evaluate.Metric):
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
        # Its own default; where none is given it logs that it takes it, each time.
        scorer = rouge_scorer.RougeScorer(["rougeL"], tokenizer=tokenizers.DefaultTokenizer())
        scores = [
            scorer.score(human, own)["rougeL"].fmeasure
            for own, human in zip(predictions, references, strict=True)
        ]
        return {"rouge_l": sum(scores) / len(scores) if scores else 0.0}
