"""What a Space installs: this project's requirements, with Gradio as the README names it."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.engine import ROOT

if TYPE_CHECKING:
    from packaging.requirements import Requirement

FILE, FIRST_FILE = "requirements.txt", "pre-requirements.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def gradio_version() -> str:
    """The installed one, which the page is tested with.

    Raises:
        UserError: it is none that this project's requirements allow.
    """
    installed = version("gradio")
    required = _requirements()["gradio"]
    if not required.specifier.contains(installed):
        raise UserError(
            f"gradio {installed} is installed, but {FILE} asks for {required}; install it with "
            f"`pip install -r {FILE}`"
        )
    return installed


def requirements_files(is_for_cpu: bool) -> dict[str, str]:
    """By name, the texts of the Space's files of requirements.

    The Hub installs Gradio in the README's version together with them, so they may name no other one.
    `FIRST_FILE` it installs beforehand: on a CPU that is PyTorch's small build, which satisfies the
    requirement of `torch` afterwards, so that only this one comes from PyTorch's own index.
    """
    from packaging.specifiers import SpecifierSet

    required = _requirements()
    required["gradio"].specifier = SpecifierSet(f"=={gradio_version()}")
    files = {FILE: "".join(f"{each}\n" for each in required.values())}
    if is_for_cpu:
        files[FIRST_FILE] = (
            "# PyTorch's build for CPUs: the default one brings gigabytes for GPUs.\n"
            f"--index-url {CPU_INDEX}\n{required['torch']}\n"
        )
    return files


def _requirements() -> dict[str, Requirement]:
    """By name."""
    from packaging.requirements import Requirement

    lines = (line.strip() for line in (ROOT / FILE).read_text(encoding="utf-8").splitlines())
    found = (Requirement(line) for line in lines if line and not line.startswith("#"))
    return {each.name: each for each in found}
