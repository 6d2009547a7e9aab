"""The flags of `python -m chat.space`."""

from __future__ import annotations

from dataclasses import dataclass, field

from chat.cli import UserError
from chat.engine import EMBEDDED_MODEL

MAX_TITLE_CHARACTERS = 60


@dataclass(frozen=True)
class SpaceArguments:
    push_to_hub: str | None = field(
        default=None,
        metadata={"help": "USER/NAME of the Space, which is created where there is none, and updated else."},
    )
    output: str | None = field(
        default=None, metadata={"help": "Folder to write the Space's files to, published or not."}
    )
    model: str = field(
        default=EMBEDDED_MODEL,
        metadata={"help": "Hub id of the model to chat with, or a folder, which is uploaded with the Space."},
    )
    title: str = field(default="GPT-2 chat", metadata={"help": "Title of the Space."})
    hardware: str = field(
        default="cpu-basic",
        metadata={
            "help": "The Hub's name of the hardware that the Space suggests, and whose PyTorch it installs; "
            "you choose what it runs on, and pay for, in its settings."
        },
    )
    hub_public: bool = field(
        default=True,
        metadata={"help": "Whether all may see the Space; one that is there and private stays private."},
    )

    def __post_init__(self):
        if not self.push_to_hub and not self.output:
            raise UserError("--push-to-hub or --output: give a Space, USER/NAME, or a folder, or both")
        if not self.title.strip() or len(self.title) > MAX_TITLE_CHARACTERS:
            raise UserError(f"--title: give 1 to {MAX_TITLE_CHARACTERS} characters")
        from huggingface_hub import SpaceHardware

        flavors = [flavor.value for flavor in SpaceHardware]
        if self.hardware not in flavors:
            raise UserError(f"--hardware {self.hardware}: give one of {', '.join(flavors)}")
