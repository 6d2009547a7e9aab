"""The engine: one interface to a trained model that answers, and what every engine does with what it draws.

engine = load_engine("final_model")
for text in engine.stream([{"role": "user", "content": "Hi!"}]):
    ...  # the reply so far
engine.close()
"""

from __future__ import annotations

import os
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from chat.best_of import Candidate, rank
from chat.cli import UserError
from chat.content_guard import BLOCKED_REPLY, ContentGuard, default_guard
from chat.decoding import DecodingSettings
from chat.dialogue import ASSISTANT
from chat.growing_text import growing_text
from chat.hub.loading import check_ids, load_chat_tokenizer, load_config, positions_of
from chat.hub.path_or_id import is_local
from chat.reply_checks import ReplyChecks, is_empty, is_looping
from chat.template import (
    ROLE_TOKENS,
    Messages,
    content_text,
    encode_prompt,
    encode_texts,
    fit_positions,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

MAX_RETRIES = 3
MAX_REQUESTS = 32
FALLBACK_REPLY = "Sorry, I lost my train of thought. Could you say that in another way?"
MODEL_VARIABLE = "MODEL_ID"
ROOT = Path(__file__).resolve().parent.parent
EMBEDDED_MODEL = "models/pocket"
LOCAL_MODELS = ("final_model", EMBEDDED_MODEL)

EngineName = Literal["auto", "torch", "openvino"]


class EngineBusy(RuntimeError):
    """As many requests as the engine takes are being answered or waiting; nothing was drawn for this one."""


class EngineClosed(RuntimeError):
    """The engine has given its memory back, and answers nobody any more."""

    def __init__(self, message: str = "the engine was closed"):
        super().__init__(message)


class EngineForked(RuntimeError):
    """This process was forked from the one that loaded the engine, without the threads that compute."""


def default_model() -> str:
    """The model to chat with where no flag names one: MODEL_ID, else `final_model/`, else the embedded one.

    Raises:
        UserError: there is none of these.
    """
    if named := os.environ.get(MODEL_VARIABLE, "").strip():
        return os.path.expanduser(named)
    for folder in LOCAL_MODELS:
        if is_local(str(ROOT / folder / "config.json")):
            return os.path.relpath(ROOT / folder)
    raise UserError(
        f"no model: neither {' nor '.join(LOCAL_MODELS)} is there; name a folder or Hub id by --model or "
        f"{MODEL_VARIABLE}"
    )


def load_engine(name: str, flag: str = "--model", engine: EngineName = "auto", **options: Any) -> ChatEngine:
    """Loads a model that was trained in our chat format.

    Args:
        name: folder or Hub id.
        flag: what gave the name, for errors.
        engine: `auto` is OpenVINO for a GPT-2 on a machine without an accelerator, else torch.
        options: of the engine's own `load`, such as torch's `dtype`.

    Raises:
        UserError: it cannot be loaded, was not trained in our format, or the engine cannot serve it.
    """
    tokenizer = load_chat_tokenizer(name, flag)
    config = load_config(name, flag)
    check_ids(max(tokenizer.get_vocab().values()), config.get_text_config().vocab_size, name, flag)
    positions = positions_of(config, name, flag)
    # The library keeps this as state: a thread that called the tokenizer without it would undo it for all,
    # and a user could forge a turn.
    tokenizer.split_special_tokens = True
    if (engine if engine != "auto" else _fastest_engine(config)) == "openvino":
        from chat.openvino_engine import OpenVinoEngine

        return OpenVinoEngine.load(name, tokenizer, positions, flag, **options)
    from chat.torch_engine import TorchEngine

    return TorchEngine.load(name, tokenizer, positions, flag, **options)


def _fastest_engine(config: PretrainedConfig) -> EngineName:
    import torch

    is_served = find_spec("openvino_genai") and config.model_type == "gpt2"
    return "openvino" if is_served and not torch.accelerator.is_available() else "torch"


class ChatEngine(ABC):
    """A model that answers many conversations at once, none of which sees another.

    Attributes:
        name: path or Hub id, as it was asked for.
        settings: the model's own decoding settings, from its `generation_config.json`.
        positions: tokens that prompt and reply may have together.
        guard: what may neither be asked nor said; None lets everything pass.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, name: str, settings: DecodingSettings, positions: int
    ):
        self.tokenizer, self.name, self.settings, self.positions = tokenizer, name, settings, positions
        self.guard: ContentGuard | None = default_guard()
        self._places, self._process_id = threading.BoundedSemaphore(MAX_REQUESTS), os.getpid()

    @property
    @abstractmethod
    def is_closed(self) -> bool: ...

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked from the one that loaded the engine: it can do nothing here."""
        return os.getpid() != self._process_id

    @abstractmethod
    def close(self) -> None:
        """Gives the model's memory back, but in a forked process; the engine cannot answer afterwards."""

    @abstractmethod
    def draw(self, prompt: list[int], settings: DecodingSettings, seed: int) -> Iterator[list[int]]:
        """One reply's token ids as they are drawn, its end of turn among them.

        Closing the iterator ends the computation at the next token; an error in it is raised here.
        """

    @abstractmethod
    def _draw_candidates(self, prompt: list[int], settings: DecodingSettings, seed: int) -> list[Candidate]:
        """`settings.best_of` replies, in one batch."""

    @abstractmethod
    def _reply_log_probs(self, prompts: list[list[int]], replies: list[list[int]]) -> list[float]:
        """log P(reply | prompt) of each pair, in nats."""

    def reply(self, messages: Messages, settings: DecodingSettings | None = None) -> str:
        """The assistant's next reply, whole."""
        return [*self.stream(messages, settings)][-1]

    def stream(
        self,
        messages: Messages,
        settings: DecodingSettings | None = None,
        rejected: Sequence[str] = (),
    ) -> Iterator[str]:
        """Yields the assistant's next reply as it grows, each time all of it so far.

        A reply that turns out unusable is drawn anew, at most `MAX_RETRIES` times; then the fallback sentence
        is given: one that is empty, repeats itself, or says again what the user has just said or the
        assistant said before. What was yielded before is no longer the beginning of what follows. Closing the
        iterator ends the computation at the next token. With `best_of` the best of the drawn replies comes
        whole.

        Args:
            messages: the conversation, the persona as the system message; the last is the user's.
            settings: how to draw; None takes the model's own.
            rejected: earlier replies to the last message, which are drawn anew as unusable ones are, but
                given rather than the fallback sentence.

        Raises:
            ValueError: a role that the format does not have.
            EngineBusy: `MAX_REQUESTS` others are not answered yet.
            EngineClosed: `close` was called, be it in the midst of the reply.
            EngineForked: the process was forked after the engine was loaded.
        """
        with self._place():
            if self.guard and messages and self.guard.blocks(content_text(messages[-1]["content"])):
                yield BLOCKED_REPLY
                return
            checks = ReplyChecks.of(messages, rejected)
            yield from self._usable_reply(messages, (settings or self.settings).clamped(), checks)

    def log_probs(self, conversations: Sequence[Messages], reply: str) -> list[float]:
        """log P(reply | conversation) for each of the conversations, in nats, the end of turn included."""
        if not conversations:
            return []
        [ids] = encode_texts(self.tokenizer, [reply])
        ids = [*ids[: self.positions // 2 - 1], self.tokenizer.eos_token_id]
        room, _ = fit_positions(self.positions, len(ids))
        prompts = [encode_prompt(self.tokenizer, messages, room) for messages in conversations]
        with self._place():
            return self._reply_log_probs(prompts, [ids] * len(prompts))

    @contextmanager
    def _place(self) -> Iterator[None]:
        self._check_process()
        if not self._places.acquire(blocking=False):
            raise EngineBusy(f"busy with {MAX_REQUESTS} requests; ask again in a moment")
        try:
            if self.is_closed:
                raise EngineClosed
            yield
        finally:
            self._places.release()

    def _check_process(self) -> None:
        if self.is_forked:
            raise EngineForked(f"{self.name}: loaded before the process forked; load it here or use `spawn`")

    def _prompt(self, messages: Messages, settings: DecodingSettings) -> tuple[list[int], DecodingSettings]:
        """The ids from which a reply is drawn, and the settings with a reply as long as fits beside them."""
        max_prompt_tokens, max_new_tokens = fit_positions(self.positions, settings.max_new_tokens)
        ids = encode_prompt(self.tokenizer, messages, max_prompt_tokens)
        return ids, settings.changed(max_new_tokens=max_new_tokens)

    def _usable_reply(
        self, messages: Messages, settings: DecodingSettings, checks: ReplyChecks
    ) -> Iterator[str]:
        prompt, settings = self._prompt(messages, settings)
        seed = random.getrandbits(32) if settings.seed is None else settings.seed
        for attempt in range(1 + MAX_RETRIES):
            drawn = settings if attempt == 0 else settings.changed(do_sample=True)
            is_refused = checks.is_rejected if attempt < MAX_RETRIES else lambda _: False
            text = ""
            for text in self._texts(prompt, drawn, seed + attempt, checks):
                if is_looping(text):
                    break
                if self.guard and self.guard.blocks(text):
                    yield BLOCKED_REPLY
                    return
                if not (is_empty(text) or is_refused(text)):
                    yield text
                    self._check_process()
            if checks.is_usable(text) and not is_refused(text):
                return
        yield FALLBACK_REPLY

    def _texts(
        self, prompt: list[int], settings: DecodingSettings, seed: int, checks: ReplyChecks
    ) -> Iterator[str]:
        """One draw: a reply as it grows, or the best usable one of several, or nothing.

        Of several, one that the guard blocks is only given where no other is usable, and one that was
        rejected or says again what the assistant has said only where no other is left.
        """
        if not settings.do_sample or settings.best_of == 1:
            yield from growing_text(self.tokenizer, self.draw(prompt, settings, seed))
            return
        candidates = self._draw_candidates(prompt, settings, seed)
        order = rank(candidates, self._generic_log_probs(candidates))
        texts = ([*growing_text(self.tokenizer, iter([candidates[index].ids]))] for index in order)
        usable = [text for *_, text in texts if checks.is_usable(text)]
        usable.sort(key=lambda text: (checks.is_rejected(text), checks.is_echo(text)))
        clean = (text for text in usable if not (self.guard and self.guard.blocks(text)))
        if usable:
            yield next(clean, usable[0])

    def _generic_log_probs(self, candidates: list[Candidate]) -> list[float]:
        """log P(reply) of each candidate without the conversation, in nats."""
        label = [self.tokenizer.convert_tokens_to_ids(ROLE_TOKENS[ASSISTANT])]
        return self._reply_log_probs([label] * len(candidates), [each.ids for each in candidates])
