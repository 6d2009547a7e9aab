"""What a Space installs: this project's requirements, with Gradio as the README names it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from chat.cli import UserError

FILE, FIRST_FILE = "requirements.txt", "pre-requirements.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def gradio_version(root: Path) -> str:
    """The installed one, which the page is tested with.

    Raises:
        UserError: it is none that this project's requirements allow.
    """
    installed = version("gradio")
    [required] = (each for each in _requirements(root) if each.name == "gradio")
    if not required.specifier.contains(installed):
        raise UserError(
            f"gradio {installed} is installed, but {FILE} asks for {required}; install it with "
            f"`pip install -r {FILE}`"
        )
    return installed


def requirements_files(root: Path, is_for_cpu: bool) -> dict[str, str]:
    """By name, the texts of the Space's files of requirements.

    The Hub installs Gradio in the README's version together with them, so they may name no other one.
    `FIRST_FILE` it installs beforehand: on a CPU that is PyTorch's small build, which satisfies the
    requirement of `torch` afterwards, so that only this one comes from PyTorch's own index.
    """
    lines = ["# Written by `python -m chat.space`."]
    for each in _requirements(root):
        if each.name == "gradio":
            extras = f"[{','.join(sorted(each.extras))}]" if each.extras else ""
            lines.append(f"gradio{extras}=={gradio_version(root)}")
        else:
            lines.append(str(each))
    files = {FILE: "\n".join(lines) + "\n"}
    if is_for_cpu:
        [torch] = (each for each in _requirements(root) if each.name == "torch")
        files[FIRST_FILE] = (
            f"# PyTorch's build for CPUs: the default one brings gigabytes for GPUs.\n"
            f"--index-url {CPU_INDEX}\n{torch}\n"
        )
    return files


def _requirements(root: Path) -> Iterator:
    from packaging.requirements import Requirement

    for line in (root / FILE).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield Requirement(line)
