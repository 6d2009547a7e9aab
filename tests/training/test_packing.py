"""Packing: nothing is lost, little is wasted, and a packed sequence is as alone."""

import numpy as np
import pytest
import torch

from chat.sequences import IGNORED_LABEL
from tests.tiny_models import saved, tiny_model
from training.collator import PackedCollator, PaddedCollator
from training.packing import PackedRows, best_fit
from training.train import build_trainer


@pytest.fixture(scope="module")
def train_rows(prepared):
    from datasets import load_from_disk

    dataset = load_from_disk(str(prepared))["train"]
    return dataset, np.asarray(dataset["length"])


def test_best_fit_by_hand():
    rows = best_fit(np.array([6, 5, 4, 3, 2]), capacity=10)
    assert sorted(sorted(row) for row in rows) == [[0, 2], [1, 3, 4]]


@pytest.mark.parametrize("seed", range(5))
def test_every_sequence_is_in_one_row_that_holds_it(seed):
    lengths = np.random.default_rng(seed).integers(1, 257, size=2000)
    rows = best_fit(lengths, 256, seed)
    assert sorted(index for row in rows for index in row) == list(range(2000))
    assert all(sum(lengths[row]) <= 256 for row in rows)
    assert lengths.sum() / (256 * len(rows)) > 0.97


def test_the_order_depends_on_the_seed_and_empty_data_has_no_rows():
    lengths = np.full(100, 30)
    assert best_fit(lengths, 100, 1) == best_fit(lengths, 100, 1) != best_fit(lengths, 100, 2)
    assert best_fit(np.array([], dtype=int), 100) == [] and best_fit(np.array([1]), 100) == [[0]]


def test_a_sequence_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="a sequence of 300 tokens does not fit rows of 256"):
        best_fit(np.array([3, 300]), 256)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_packed_sequence_has_the_logits_that_it_has_alone(train_rows, kind):
    dataset, lengths = train_rows
    packed = PackedRows(dataset, lengths, row_length=512)
    rows = packed.__getitems__([0, 1, 2, len(packed) - 1])
    assert max(map(len, rows)) > 1
    model = tiny_model(kind, 404)
    with torch.inference_mode():
        batch = PackedCollator(0, 512)(rows)
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits
        for index, row in enumerate(rows):
            start = 0
            for sequence in row:
                alone = model(input_ids=torch.tensor([sequence["input_ids"]])).logits[0]
                end = start + len(alone)
                torch.testing.assert_close(together[index, start:end], alone, atol=1e-5, rtol=0)
                start = end


def test_a_packed_batch_has_the_labels_and_tokens_of_its_sequences(train_rows):
    dataset, lengths = train_rows
    packed = PackedRows(dataset, lengths, row_length=300)
    rows = packed.__getitems__(range(len(packed)))
    batch = PackedCollator(0, 300)(rows)
    labels = sum(label != IGNORED_LABEL for row in dataset["labels"] for label in row)
    assert int((batch["labels"] != IGNORED_LABEL).sum()) == labels
    filled = sum(300 - int(sum(lengths[row])) for row in packed.rows)
    assert filled > 0 and int((batch["position_ids"] == 0).sum()) == len(dataset) + filled
    assert packed[3] == rows[3]
    assert packed.__getitems__([3, len(packed)]) == [rows[3], []], "what fills a process's last batch"
    assert (PackedCollator(0, 300)([[]])["labels"] == IGNORED_LABEL).all()


def test_a_row_may_be_longer_than_the_model_has_positions():
    rows = [[{"input_ids": [5] * 20, "labels": [5] * 20}]]
    batch = PackedCollator(0, 100)(rows)
    assert batch["position_ids"].max() == 19
    assert tiny_model("gpt2", 404, n_positions=32)(**batch).loss.isfinite()


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
@pytest.mark.parametrize("packed", [True, False])
def test_logits_of_replies_only_give_the_same_loss_and_gradients(train_rows, kind, packed):
    dataset, lengths = train_rows
    model = tiny_model(kind, 404)
    found = []
    for reply_logits_only in (False, True):
        if packed:
            rows = PackedRows(dataset, lengths, 512).__getitems__(range(3))
            batch = PackedCollator(0, 512, reply_logits_only)(rows)
        else:
            batch = PaddedCollator(0, reply_logits_only)(dataset.select(range(5)).to_list())
        model.zero_grad()
        output = model(**batch)
        output.loss.backward()
        found.append((output.loss.detach(), [parameter.grad.clone() for parameter in model.parameters()]))
        replies = int((batch["labels"] != IGNORED_LABEL).sum())
        assert (output.logits.shape[0] == replies) == reply_logits_only
    (loss, gradients), (loss_of_replies, gradients_of_replies) = found
    torch.testing.assert_close(loss, loss_of_replies)
    torch.testing.assert_close(gradients, gradients_of_replies, atol=1e-6, rtol=1e-4)


def test_training_on_packed_rows_sees_each_sequence_alone(short_run):
    """The trainer's own model and batch: the packed loss is that of the row's sequences one by one."""
    trainer = build_trainer(short_run(batching="packed", packed_row_length=256))
    batch = next(iter(trainer.get_train_dataloader()))
    packed_rows, model = trainer.train_dataset, trainer.model.eval()
    first = [packed_rows[row] for row in list(trainer.sampler)[:4]]
    with torch.no_grad():
        together = trainer.compute_loss(model, batch).item()
        nats = tokens = 0
        for sequence in (sequence for row in first for sequence in row):
            alone = PaddedCollator(0)([sequence])
            count = int((alone["labels"] != IGNORED_LABEL).sum())
            nats += model(**alone).loss.item() * count
            tokens += count
    assert together == pytest.approx(nats / tokens, abs=1e-5)


def test_packed_rows_of_a_model_that_mixes_their_dialogues_are_refused(short_run, prepared, tmp_path):
    from chat.cli import UserError
    from chat.hub.data import load_tokenized

    _, tokenizer = load_tokenized(str(prepared))
    base = saved(tiny_model("opt", len(tokenizer)), tokenizer, tmp_path / "opt")
    with pytest.raises(UserError, match=r"--batching packed: a opt .*give --batching grouped"):
        build_trainer(short_run(base=str(base), batching="packed"))
    build_trainer(short_run(base=str(base), batching="grouped"))
