"""A trained model that answers: loads from a path or a Hub id, streams replies, retries bad ones, falls back.

engine = ChatEngine.from_pretrained("final_model")
for text in engine.stream([{"role": "user", "content": "Hi!"}]):
    ...  # the reply so far
"""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chat.best_of import draw_candidates, rank
from chat.cli import UserError
from chat.decoding import DecodingSettings
from chat.dialogue import ASSISTANT
from chat.hub import load_causal_lm, load_tokenizer
from chat.reply_checks import is_empty, is_looping, is_sound, was_said, whole_sentences
from chat.template import (
    MAX_PROMPT_TOKENS,
    ROLE_TOKENS,
    Messages,
    encode_prompt,
    fit_positions,
    has_chat_format,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MAX_RETRIES = 3
FALLBACK_REPLY = "Sorry, I lost my train of thought. Could you say that in another way?"
MODEL_VARIABLE = "MODEL_ID"
ROOT = Path(__file__).resolve().parent.parent
LOCAL_MODELS = ("final_model", "models/pocket")


def default_model() -> str:
    """The model to chat with where no flag names one: MODEL_ID, else `final_model/`, else the embedded one.

    Raises:
        UserError: there is none of these.
    """
    if named := os.environ.get(MODEL_VARIABLE, "").strip():
        return named
    for folder in LOCAL_MODELS:
        if (ROOT / folder / "config.json").is_file():
            return os.path.relpath(ROOT / folder)
    raise UserError(
        f"no model: neither {' nor '.join(LOCAL_MODELS)} is there; name a folder or Hub id by --model or "
        f"{MODEL_VARIABLE}"
    )


class ChatEngine:
    """A causal language model in our chat format. One request runs at a time; further ones wait.

    Attributes:
        name: path or Hub id, as it was asked for.
        settings: the model's own decoding settings, from its `generation_config.json`.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str):
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.settings = DecodingSettings.from_generation_config(model.generation_config)
        self._one_request = threading.Lock()

    @classmethod
    def from_pretrained(cls, name: str, flag: str = "--model", device: str | None = None) -> ChatEngine:
        """Loads a model that was trained in our chat format.

        Args:
            name: folder or Hub id.
            flag: what gave the name, for errors.
            device: such as `cuda`; None takes an accelerator where there is one.

        Raises:
            UserError: it cannot be loaded, or was not trained in our format.
        """
        import torch

        tokenizer = load_tokenizer(name, flag)
        if not has_chat_format(tokenizer):
            raise UserError(
                f"{flag} {name}: was not trained in this project's chat format (its tokenizer has no role "
                "tokens); fine-tune it first with `accelerate launch -m training.train --base`"
            )
        model = load_causal_lm(name, flag)
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
        return cls(model.to(device or accelerator), tokenizer, name)

    def stream(self, messages: Messages, settings: DecodingSettings | None = None) -> Iterator[str]:
        """Yields the assistant's next reply as it grows, each time all of it so far.

        A reply that turns out empty, repetitive or said before is drawn anew, at most `MAX_RETRIES` times;
        then the fallback sentence is given. What was yielded before is no longer the beginning of what
        follows. Closing the iterator ends the computation at the next token. With `best_of` the best of the
        drawn replies comes whole.

        Args:
            messages: the conversation, the persona as the system message; the last is the user's.
            settings: how to draw; None takes the model's own.

        Raises:
            ValueError: a role that the format does not have.
        """
        settings = (settings or self.settings).clamped()
        positions = self.model.config.max_position_embeddings
        max_prompt_tokens, max_new_tokens = fit_positions(
            positions, MAX_PROMPT_TOKENS, settings.max_new_tokens
        )
        prompt = encode_prompt(self.tokenizer, messages, max_prompt_tokens)
        settings = settings.changed(max_new_tokens=max_new_tokens)
        seed = random.getrandbits(32) if settings.seed is None else settings.seed
        earlier = [message["content"] for message in messages if message["role"] == ASSISTANT]

        def is_usable(reply: str) -> bool:
            return is_sound(reply) and not was_said(reply, earlier)

        for attempt in range(1 + MAX_RETRIES):
            drawn = settings if attempt == 0 else settings.changed(do_sample=True)
            is_one_of_many = drawn.do_sample and drawn.best_of > 1
            draw = partial(self._draw_best, is_usable=is_usable) if is_one_of_many else self._draw
            text = ""
            for text in draw(prompt, drawn, seed + attempt):
                if is_looping(text):
                    break
                if not is_empty(text):
                    yield text
            if is_usable(text):
                return
        yield FALLBACK_REPLY

    def reply(self, messages: Messages, settings: DecodingSettings | None = None) -> str:
        """The assistant's next reply, whole."""
        return [*self.stream(messages, settings)][-1]

    def close(self) -> None:
        """Gives the model's memory back; the engine cannot answer afterwards."""
        with self._one_request:
            self.model = None

    def _draw(self, prompt: list[int], settings: DecodingSettings, seed: int) -> Iterator[str]:
        """One draw of a reply, as it grows. `generate` runs in a thread that ends with the iterator."""
        from transformers import TextIteratorStreamer

        streamer = TextIteratorStreamer(self.tokenizer, skip_prompt=True, skip_special_tokens=True)
        stopped = threading.Event()
        outcome: dict = {}

        def generate() -> None:
            try:
                outcome["ids"] = self._generate(prompt, settings, seed, streamer, stopped)
            except BaseException as error:
                outcome["error"] = error
            finally:
                streamer.end()

        with self._one_request:
            thread = threading.Thread(target=generate, name="chat-generate", daemon=True)
            thread.start()
            text = ""
            try:
                for piece in streamer:
                    if piece:
                        text += piece
                        yield text.strip()
            finally:
                stopped.set()
                thread.join()
        if "error" in outcome:
            raise outcome["error"]
        if outcome["ids"][-1] != self.tokenizer.eos_token_id:
            yield whole_sentences(text.strip())

    def _draw_best(
        self, prompt: list[int], settings: DecodingSettings, seed: int, is_usable: Callable[[str], bool]
    ) -> Iterator[str]:
        """Of several draws the best usable one, whole; nothing where none is usable."""
        import torch

        config = settings.to_generation_config(self.tokenizer)
        input_ids = torch.tensor([prompt], device=self.model.device)
        label_ids = self.tokenizer.convert_tokens_to_ids([ROLE_TOKENS[ASSISTANT]])
        with self._one_request:
            torch.manual_seed(seed)
            [candidates] = draw_candidates(
                self.model, input_ids, torch.ones_like(input_ids), config, settings.best_of
            )
            order = rank(self.model, candidates, label_ids, config.pad_token_id)
        texts = (self._text_of(candidates[index].ids) for index in order)
        yield from itertools.islice(filter(is_usable, texts), 1)

    def _text_of(self, ids: list[int]) -> str:
        text = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        return text if ids[-1:] == [self.tokenizer.eos_token_id] else whole_sentences(text)

    def _generate(self, prompt, settings: DecodingSettings, seed: int, streamer, stopped) -> list[int]:
        import torch
        from transformers import StoppingCriteriaList

        input_ids = torch.tensor([prompt], device=self.model.device)
        torch.manual_seed(seed)
        output = self.model.generate(
            input_ids,
            attention_mask=torch.ones_like(input_ids),
            generation_config=settings.to_generation_config(self.tokenizer),
            stopping_criteria=StoppingCriteriaList([_stop_when(stopped)]),
            streamer=streamer,
        )
        return output[0, len(prompt) :].tolist()


def _stop_when(stopped: threading.Event):
    def criterion(input_ids, scores, **kwargs):
        import torch

        return torch.full((input_ids.shape[0],), stopped.is_set(), device=input_ids.device, dtype=torch.bool)

    return criterion
