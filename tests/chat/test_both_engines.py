"""What holds for both engines: the same greedy text, the same distributions, requests that do not touch."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import zip_longest

import pytest
import torch

from chat.cli import UserError
from chat.decoding import DecodingSettings
from chat.engine import EngineClosed, load_engine
from chat.template import encode_prompt, encode_texts
from tests.chat.conftest import left_serving, log_probs, serving_threads

CONVERSATIONS = [
    [{"role": "user", "content": "Hello there"}],
    [{"role": "system", "content": "I have two cats."}, {"role": "user", "content": "Do you have a pet?"}],
    [
        {"role": "user", "content": "What do you do for work?"},
        {"role": "assistant", "content": "I am a nurse."},
        {"role": "user", "content": "Do you like it? " * 20},
    ],
]
RANDOM = DecodingSettings(temperature=1.5, top_k=0, top_p=1.0, max_new_tokens=12)
LONG = DecodingSettings(temperature=1.5, top_k=0, top_p=1.0, max_new_tokens=120, min_new_tokens=120)
DRAWS = 4000


@pytest.mark.parametrize("messages", CONVERSATIONS)
@pytest.mark.parametrize("frequency_penalty", [0.0, 1.5])
def test_a_greedy_reply_is_the_same_to_the_token(engine, openvino_engine, messages, frequency_penalty):
    settings = DecodingSettings(
        do_sample=False, max_new_tokens=40, min_new_tokens=20, frequency_penalty=frequency_penalty
    )
    prompt = encode_prompt(engine.tokenizer, messages)
    drawn = [
        [id_ for ids in each.draw(prompt, settings, seed=0) for id_ in ids]
        for each in (engine, openvino_engine)
    ]
    assert drawn[0] == drawn[1] and len(drawn[0]) >= 20


def expected_pairs(engine, prompt, settings) -> dict[tuple[int, int], float]:
    """Probability of each pair of first tokens, by the definitions of the settings."""

    def next_token(ids: list[int]) -> dict[int, float]:
        logits = engine.model(torch.tensor([prompt + ids])).logits[0, -1].double()
        logits[settings.to_generation_config(engine.tokenizer).suppress_tokens] = -torch.inf
        for id_ in ids:
            logits[id_] -= settings.frequency_penalty
        if len(ids) < settings.min_new_tokens:
            logits[engine.tokenizer.eos_token_id] = -torch.inf
        logits = logits / settings.temperature
        best = logits.topk(settings.top_k)
        shares = best.values.softmax(-1)
        kept = shares.cumsum(-1) - shares < settings.top_p
        shares = shares * kept / (shares * kept).sum()
        return {id_: p for id_, p in zip(best.indices.tolist(), shares.tolist(), strict=True) if p}

    with torch.inference_mode():
        return {(a, b): p * q for a, p in next_token([]).items() for b, q in next_token([a]).items()}


@pytest.mark.parametrize(
    "settings",
    [
        DecodingSettings(temperature=0.3, top_k=6, top_p=1.0),
        DecodingSettings(temperature=0.15, top_k=8, top_p=0.7),
        DecodingSettings(temperature=0.2, top_k=6, top_p=1.0, frequency_penalty=2.0),
    ],
    ids=["top-k", "top-p", "frequency penalty"],
)
def test_sampling_is_from_the_defined_distribution(engine, any_engine, settings):
    from scipy.stats import chisquare

    settings = DecodingSettings(**vars(settings) | {"max_new_tokens": 2, "min_new_tokens": 2, "best_of": 250})
    prompt = encode_prompt(engine.tokenizer, CONVERSATIONS[0])
    expected = expected_pairs(engine, prompt, settings)
    counts = dict.fromkeys(expected, 0)
    for seed in range(DRAWS // settings.best_of):
        for candidate in any_engine._draw_candidates(prompt, settings, seed):
            counts[tuple(candidate.ids[:2])] += 1
    assert chisquare([*counts.values()], [DRAWS * p for p in expected.values()]).pvalue > 1e-3


@pytest.mark.parametrize("frequency_penalty", [0.0, 1.0])
def test_candidates_and_their_scores_are_those_of_the_model(engine, any_engine, frequency_penalty):
    settings = DecodingSettings(**vars(RANDOM) | {"best_of": 4, "frequency_penalty": frequency_penalty})
    prompt = encode_prompt(engine.tokenizer, CONVERSATIONS[1])
    candidates = any_engine._draw_candidates(prompt, settings, seed=1)
    assert len(candidates) == 4
    label = encode_prompt(engine.tokenizer, [])
    for candidate, generic in zip(candidates, any_engine._generic_log_probs(candidates), strict=True):
        assert candidate.log_probs == pytest.approx(log_probs(engine.model, prompt, candidate.ids), abs=0.02)
        assert generic == pytest.approx(
            sum(log_probs(engine.model, label, candidate.ids)), abs=0.02 * len(candidate.ids)
        )


def test_replies_are_scored_after_conversations_of_any_length(engine, any_engine):
    reply = "I have two cats."
    ids = [*encode_texts(engine.tokenizer, [reply])[0], engine.tokenizer.eos_token_id]
    expected = [
        sum(log_probs(engine.model, encode_prompt(engine.tokenizer, each), ids)) for each in CONVERSATIONS
    ]
    assert any_engine.log_probs(CONVERSATIONS, reply) == pytest.approx(expected, abs=0.02 * len(ids))
    assert len(set(expected)) == len(expected)


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_a_tokenizer_of_more_tokens_than_the_model_has_is_refused(model_folder, tmp_path, name):
    from transformers import AutoTokenizer

    shutil.copytree(model_folder, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.add_tokens(["more"])
    tokenizer.save_pretrained(tmp_path / "model")
    with pytest.raises(UserError, match=r"^--model .*: its tokenizer has ids up to \d+, and the model"):
        load_engine(str(tmp_path / "model"), engine=name)


def test_drafts_that_end_before_the_others_are_no_fault_of_the_user(model_folder, monkeypatch):
    """transformers takes the padding after them for unmasked, and would warn whoever calls it from Python."""
    told = []
    monkeypatch.setattr("transformers.modeling_utils.logger.warning_once", told.append)
    many = DecodingSettings(temperature=1.5, top_k=0, top_p=1.0, max_new_tokens=80, best_of=16, seed=1)
    with closing(load_engine(str(model_folder), engine="torch")) as engine:
        assert "".join(engine.stream([{"role": "user", "content": "Hi!"}], many))
    assert not told


def test_after_no_conversation_nothing_is_scored(any_engine):
    assert any_engine.log_probs([], "Yes.") == []


def test_a_reply_longer_than_half_of_the_positions_is_scored(any_engine):
    """As of an imported conversation, after a message that is as long."""
    long = "I have two cats. " * 200
    assert any_engine.positions < len(any_engine.tokenizer(long)["input_ids"])
    [found] = any_engine.log_probs([[{"role": "user", "content": long}]], long)
    assert found < 0


def test_replies_of_many_at_once_are_those_of_each_alone(any_engine):
    asked = [(CONVERSATIONS[number % 3], RANDOM.changed(seed=number)) for number in range(12)]
    before = serving_threads()
    alone = [any_engine.reply(*each) for each in asked]
    with ThreadPoolExecutor(12) as pool:
        assert [*pool.map(lambda each: any_engine.reply(*each), asked)] == alone
    assert len(set(alone)) > 6 and not left_serving(before)


def test_closing_the_stream_ends_the_computation(any_engine, pace):
    before = serving_threads()
    stream = any_engine.stream(CONVERSATIONS[0], LONG.changed(seed=0))
    next(stream)
    assert serving_threads() - before
    stream.close()
    assert not left_serving(before) and pace.steps < LONG.max_new_tokens
    assert any_engine.reply(CONVERSATIONS[0], RANDOM)


def test_who_reads_two_replies_by_turns_does_not_wait_for_himself(any_engine):
    asked = [(CONVERSATIONS[0], RANDOM.changed(seed=1)), (CONVERSATIONS[1], RANDOM.changed(seed=2))]
    alone = [any_engine.reply(*each) for each in asked]

    def by_turns() -> list[str]:
        last = ["", ""]
        streams = [any_engine.stream(*each) for each in asked]
        for texts in zip_longest(*streams):
            last = [text or before for text, before in zip(texts, last, strict=True)]
            any_engine.log_probs([CONVERSATIONS[0]], "Hello")
        return last

    thread = threading.Thread(target=lambda: found.extend(by_turns()), daemon=True)
    found: list[str] = []
    thread.start()
    thread.join(timeout=60)
    assert found == alone


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_a_closed_engine_says_so(model_folder, name):
    # Of weights of which the other tests have an export already.
    options = {"weights": "fp32"} if name == "openvino" else {}
    before = serving_threads()
    engine = load_engine(str(model_folder), engine=name, **options)
    assert engine.reply(CONVERSATIONS[0], RANDOM.changed(best_of=2)) and not engine.is_closed
    stream = engine.stream(CONVERSATIONS[0], LONG)
    next(stream)
    engine.close()
    with pytest.raises(EngineClosed):
        list(stream)
    assert engine.is_closed and not left_serving(before)
    for ask in (engine.reply, lambda messages: engine.log_probs([messages], "Hello")):
        with pytest.raises(EngineClosed):
            ask(CONVERSATIONS[0])
    engine.close()


def test_a_conversation_longer_than_the_positions_is_answered(any_engine):
    roles = ("user", "assistant")
    long = [{"role": roles[i % 2], "content": "word " * 100} for i in range(41)]
    assert any_engine.reply([{"role": "system", "content": "I am a nurse."}, *long], RANDOM)
