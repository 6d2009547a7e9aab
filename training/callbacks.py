"""What happens beside the steps: SIGTERM, early stopping, sample replies, rotation of checkpoints."""

from __future__ import annotations

import signal
from types import FrameType

import torch
from accelerate import DistributedType
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations import TensorBoardCallback

from chat.decoding import DecodingSettings
from chat.dialogue import USER
from chat.template import encode_prompt, encode_texts, has_chat_format
from training.checkpoints import rotate, rotate_parts

SAMPLE_NEW_TOKENS = 40


class StopOnSigterm(TrainerCallback):
    """On SIGTERM, which preemptible machines send, saves a checkpoint after the current step and stops.

    With several processes it is enough that one gets the signal: they agree after every step.
    """

    def __init__(self):
        self.received = False
        self.stopped_at_step: int | None = None
        self._handler_before = None

    def on_train_begin(self, args, state, control, **kwargs):
        self._handler_before = signal.signal(signal.SIGTERM, self._receive)

    def on_train_end(self, args, state, control, **kwargs):
        signal.signal(signal.SIGTERM, self._handler_before)

    def _receive(self, signal_number: int, frame: FrameType | None) -> None:
        self.received = True

    def on_step_end(self, args, state, control, **kwargs):
        if self._any_received(args) and state.global_step < state.max_steps:
            self.stopped_at_step = state.global_step
            args.load_best_model_at_end = False
            control.should_save = control.should_training_stop = True

    def _any_received(self, args: TrainingArguments) -> bool:
        if args.world_size == 1:
            return self.received
        told = torch.tensor(int(self.received), device=args.device)
        torch.distributed.all_reduce(told, op=torch.distributed.ReduceOp.MAX)
        return bool(told)


class StopEarly(EarlyStoppingCallback):
    """Stops a run whose loss no longer falls; the checkpoint that it then saves says so to a resume."""

    @property
    def is_over(self) -> bool:
        return self.early_stopping_patience_counter >= self.early_stopping_patience

    def go_on(self, state: TrainerState) -> None:
        """Counts on from what a checkpoint's state tells, with the patience that is asked for now."""
        saved = state.stateful_callbacks.get(type(self).__name__, self.state())
        self.early_stopping_patience_counter = saved["attributes"]["early_stopping_patience_counter"]

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        super().on_evaluate(args, state, control, metrics, **kwargs)
        if self.is_over:
            control.should_save = True


class RotateCheckpoints(TrainerCallback):
    """Deletes old checkpoints after a new one is whole; never the newest, never the best. On machines without
    a shared disk, also what the others have saved of them.
    """

    def __init__(self, save_total_limit: int):
        self.save_total_limit = save_total_limit

    def on_save(self, args, state, control, **kwargs):
        if args.should_save:
            rotate(args.output_dir, self.save_total_limit, state.best_global_step)
        else:
            rotate_parts(args.output_dir, self.save_total_limit, state.global_step, state.best_global_step)


class SampleReplies(TensorBoardCallback):
    """TensorBoard's callback, which also answers fixed prompts at every evaluation, greedily.

    Greedy search draws nothing from the random state: training is the same with it and without it. A model
    whose weights are sharded over processes (FSDP, DeepSpeed) gives no samples.
    """

    def __init__(self, prompts: list[str]):
        super().__init__()
        self.prompts = prompts

    def on_evaluate(self, args, state, control, model=None, processing_class=None, **kwargs):
        kind = args.distributed_state.distributed_type
        sharded = kind in (DistributedType.FSDP, DistributedType.DEEPSPEED)
        if self.tb_writer is not None and self.prompts and not sharded:
            replies = sample_replies(model, processing_class, self.prompts)
            lines = (f"**{prompt}** {reply}" for prompt, reply in zip(self.prompts, replies, strict=True))
            self.tb_writer.add_text("sample replies", "\n\n".join(lines), state.global_step)


def sample_replies(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str]
) -> list[str]:
    """The greedy reply to each prompt, as the first message of a conversation without a persona.

    A base that is trained on plain text has no chat format: it writes on after the prompt's line.
    """
    settings = DecodingSettings(do_sample=False, max_new_tokens=SAMPLE_NEW_TOKENS)
    generation_config = settings.to_generation_config(tokenizer)
    replies = []
    for prompt in prompts:
        ids = _prompt_ids(tokenizer, prompt)
        output = model.generate(
            torch.tensor([ids], device=model.device),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long, device=model.device),
            generation_config=generation_config,
        )
        replies.append(tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True).strip())
    return replies


def _prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    if has_chat_format(tokenizer):
        return encode_prompt(tokenizer, [{"role": USER, "content": prompt}])
    texts = encode_texts(tokenizer, [prompt])
    return [tokenizer.eos_token_id, *texts[0], *tokenizer("\n")["input_ids"]]
