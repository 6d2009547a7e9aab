"""Batches: shapes, padding, labels."""

import torch

from chat.sequences import IGNORED_LABEL
from training.collator import PaddedCollator


def test_padding_is_on_the_right_masked_and_without_labels():
    batch = PaddedCollator(pad_token_id=9)(
        [
            {"input_ids": [1, 2, 3], "labels": [IGNORED_LABEL, 2, 3], "length": 3},
            {"input_ids": [4], "labels": [4], "length": 1},
        ]
    )
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 9, 9]]
    assert batch["labels"].tolist() == [[IGNORED_LABEL, 2, 3], [4, IGNORED_LABEL, IGNORED_LABEL]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert all(tensor.dtype == torch.long for tensor in batch.values())


def test_a_padding_id_inside_a_sequence_stays_a_token():
    batch = PaddedCollator(pad_token_id=9)([{"input_ids": [9, 9], "labels": [9, 9]}])
    assert batch["labels"].tolist() == [[9, 9]] and batch["attention_mask"].tolist() == [[1, 1]]


def test_the_loss_of_a_batch_is_that_of_its_sequences(model_folder, prepared):
    """Padding changes nothing: the batch's loss is the mean over all labelled tokens of the single rows."""
    from datasets import load_from_disk
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    rows = load_from_disk(str(prepared))["val"].select(range(6)).to_list()
    collate = PaddedCollator(model.config.pad_token_id)
    with torch.inference_mode():
        together = model(**collate(rows)).loss.item()
        total = tokens = 0
        for row in rows:
            batch = collate([row])
            count = int((batch["labels"] != IGNORED_LABEL).sum())
            total += model(**batch).loss.item() * count
            tokens += count
    assert abs(together - total / tokens) < 1e-4
