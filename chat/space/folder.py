"""The Space's folder: everything that is uploaded, and nothing else; what it installs is this project's."""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.engine import LOCAL_MODELS, ROOT
from chat.folders import Contents, whole_folder
from chat.hub.path_or_id import is_local
from chat.hub.repositories import CARD_FILE
from chat.model_files import MODEL_FILES, TRAINING_FILES
from chat.published_paths import files_to_publish
from chat.space.arguments import SpaceArguments
from chat.space.card import WRITTEN_BY_US, SpaceModel, render_card

if TYPE_CHECKING:
    from packaging.requirements import Requirement

LICENSE_FILE, PAGE = "LICENSE", "app.py"
REQUIREMENTS, FIRST_REQUIREMENTS = "requirements.txt", "pre-requirements.txt"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SPACE = Contents(
    CARD_FILE, (PAGE, "chat", "models", "final_model", LICENSE_FILE, "*requirements.txt"), WRITTEN_BY_US
)
# What is removed from a Space that lacks it now; what others put there stays.
OURS = (PAGE, "chat/*", *(f"{folder}/*" for folder in LOCAL_MODELS), FIRST_REQUIREMENTS)


def write_space(arguments: SpaceArguments, model: SpaceModel, output: str | Path) -> None:
    """Writes the Space's files to a folder, which appears whole or not at all.

    Raises:
        UserError: it cannot be written, or this installation lacks what the Space needs.
    """
    card = render_card(
        model,
        title=arguments.title,
        space=arguments.push_to_hub or "USER/NAME",
        sdk_version=gradio_version(),
        hardware=arguments.hardware,
    )
    texts = {CARD_FILE: f"{card}\n", **requirements_files(arguments.hardware.startswith("cpu"))}
    with whole_folder(output, SPACE, "--output") as folder:
        for path in (ROOT / PAGE, ROOT / LICENSE_FILE, *package_files(ROOT / "chat")):
            _copy(path, folder / path.relative_to(ROOT))
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        if is_local(arguments.model):
            source = Path(arguments.model)
            for path in model_files(source):
                _copy(path, folder / model.name / path.relative_to(source))


def folder_in_space(model: str) -> str:
    """Where a model that is uploaded lies, so that the page finds it without being told."""
    trained, embedded = LOCAL_MODELS
    return embedded if Path(model).resolve() == (ROOT / embedded).resolve() else trained


def package_files(package: Path) -> list[Path]:
    """The files of a package and of those in it, and none that somebody keeps in a folder beside them."""
    found = (path for path in package.rglob("[!.]*") if (path.parent / "__init__.py").is_file())
    # Gradio writes `.pyi` beside its components.
    return sorted(path for path in found if path.is_file() and path.suffix != ".pyi")


def model_files(source: Path) -> list[Path]:
    """What chatting with a model reads of its folder.

    Raises:
        UserError: as of `files_to_publish`.
    """
    found = files_to_publish(source, MODEL_FILES, "--model")
    return [path for path in found if path.name not in TRAINING_FILES]


def gradio_version() -> str:
    """The installed one, which the page is tested with.

    Raises:
        UserError: it is none that this project's requirements allow.
    """
    installed = version("gradio")
    required = _requirements()["gradio"]
    if not required.specifier.contains(installed):
        raise UserError(
            f"gradio {installed} is installed, but {REQUIREMENTS} asks for {required}; install it with "
            f"`pip install -r {REQUIREMENTS}`"
        )
    return installed


def requirements_files(is_for_cpu: bool) -> dict[str, str]:
    """By name, the texts of the Space's files of requirements.

    The Hub installs Gradio in the README's version together with them, so they may name no other one.
    `FIRST_REQUIREMENTS` it installs beforehand: on a CPU that is PyTorch's small build, which satisfies the
    requirement of `torch` afterwards, so that only this one comes from PyTorch's own index.
    """
    from packaging.specifiers import SpecifierSet

    required = _requirements()
    required["gradio"].specifier = SpecifierSet(f"=={gradio_version()}")
    files = {REQUIREMENTS: "".join(f"{each}\n" for each in required.values())}
    if is_for_cpu:
        files[FIRST_REQUIREMENTS] = (
            "# PyTorch's build for CPUs: the default one brings gigabytes for GPUs.\n"
            f"--index-url {CPU_INDEX}\n{required['torch']}\n"
        )
    return files


def _requirements() -> dict[str, Requirement]:
    """By name."""
    from packaging.requirements import Requirement

    lines = (line.strip() for line in (ROOT / REQUIREMENTS).read_text(encoding="utf-8").splitlines())
    found = (Requirement(line) for line in lines if line and not line.startswith("#"))
    return {each.name: each for each in found}


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
