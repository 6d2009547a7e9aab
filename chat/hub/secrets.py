"""Keeps tokens out of what is published."""

from __future__ import annotations

import re
from pathlib import Path

from chat.cli import UserError

# Of the Hub, of GitHub and of AWS; long enough that no name in a program looks like one.
TOKENS = re.compile(
    rb"\b(?:hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,}|AKIA[A-Z0-9]{16})\b"
)
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
# Weights: random bytes, and no place where somebody writes a token.
UNREAD = (".safetensors", ".bin", ".onnx")


def own_token() -> str | None:
    """The user's own; None also where the libraries' folder may not be read, as that of another user."""
    from huggingface_hub import get_token

    try:
        return get_token()
    except OSError:
        return None


def refuse_tokens(folder: str | Path) -> None:
    """Raises UserError where a file in the folder holds a token or a private key; the token is not shown."""
    own = (own_token() or "").encode()
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and path.suffix not in UNREAD:
            content = path.read_bytes()
            if TOKENS.search(content) or PRIVATE_KEY.search(content) or (own and own in content):
                raise UserError(
                    f"{path.relative_to(folder)}: holds a token or a private key, so nothing was published; "
                    "remove it, and revoke it where it has been seen"
                )
