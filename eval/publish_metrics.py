"""Publishes the metrics as Spaces, from where `evaluate.load("USER/distinct_n")` loads them.

    python -m eval.publish_metrics --push-to-hub USER
    python -m eval.publish_metrics --metrics distinct_n persona_use --output metric_spaces

Each becomes a static Space, which needs no hardware: the module, its requirements, and a page that tells what
it does. (The widget of `evaluate` that such Spaces used to show does not run with Gradio 4 and later.)
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from chat.cli import UserError, parse_arguments, run
from chat.folders import Contents, whole_folder
from chat.hub.publishing import publish_folder
from chat.hub.repositories import Destination
from chat.hub.secrets import refuse_tokens
from chat.hub.spaces import make_space_ready
from chat.markdown import on_one_line
from eval.figures import METRICS, metric

TEMPLATES = Path(__file__).parent / "metric_space"
WRITTEN_BY_US = "<!-- Written by `python -m eval.publish_metrics`"
ALL_FILE = "metrics.txt"


def metric_names() -> list[str]:
    return sorted(path.name for path in METRICS.iterdir() if (path / f"{path.name}.py").is_file())


@dataclass(frozen=True)
class PublishMetricsArguments:
    push_to_hub: str | None = field(
        default=None, metadata={"help": "USER or organisation, in whose name the Spaces are published."}
    )
    output: str | None = field(
        default=None, metadata={"help": "Folder to write the Spaces to, one folder each, published or not."}
    )
    metrics: list[str] = field(
        default_factory=list, metadata={"help": "Names of metrics in eval/metrics (default: all)."}
    )
    hub_public: bool = field(
        default=True, metadata={"help": "Whether all may see the Spaces; private ones stay so."}
    )

    def __post_init__(self):
        if not self.push_to_hub and not self.output:
            raise UserError("--push-to-hub or --output: give a user, or a folder, or both")
        if self.push_to_hub and "/" in self.push_to_hub:
            raise UserError(
                f"--push-to-hub {self.push_to_hub}: give USER; the metrics have names of their own"
            )
        for name in self.metrics:
            if name not in metric_names():
                raise UserError(f"--metrics {name}: give some of {', '.join(metric_names())}")

    def destination(self, metric: str) -> Destination:
        return Destination(
            f"{self.push_to_hub}/{metric}", "space", public=self.hub_public, space_sdk="static"
        )


def publish_metrics(arguments: PublishMetricsArguments) -> list[Destination]:
    """Writes and publishes the Spaces as the flags say; where they are published.

    Raises:
        UserError: a folder cannot be written, a name is that of another Space, or the Hub refuses.
    """
    names = list(dict.fromkeys(arguments.metrics)) or metric_names()
    destinations = [arguments.destination(name) for name in names] if arguments.push_to_hub else []
    for destination in destinations:
        make_space_ready(destination, WRITTEN_BY_US)
    with TemporaryDirectory() as scratch:
        output = Path(arguments.output or Path(scratch) / "spaces")
        with whole_folder(output, Contents(ALL_FILE, (*metric_names(),)), "--output") as folder:
            for name in names:
                write_space(name, arguments.push_to_hub or "USER", folder / name)
            (folder / ALL_FILE).write_text("".join(f"{name}\n" for name in names))
        refuse_tokens(output)
        for destination, name in zip(destinations, names, strict=False):
            publish_folder(
                output / name, destination, message=f"Publish {name}", ours=("*.py", "*.html"), what=name
            )
    return destinations


def write_space(name: str, user: str, folder: Path) -> None:
    """Writes a metric's Space: module, requirements, README with front matter, page."""
    from huggingface_hub import SpaceCard, SpaceCardData
    from jinja2 import Environment, FileSystemLoader

    folder.mkdir(parents=True)
    source = METRICS / name / f"{name}.py"
    shutil.copyfile(source, folder / source.name)
    (folder / "requirements.txt").write_text("".join(f"{each}\n" for each in requirements(source)))
    info = metric(name).info
    told = {
        "name": name,
        "space": f"{user}/{name}",
        "description": on_one_line(info.description),
        "inputs": on_one_line(info.inputs_description),
        "citation": info.citation.strip(),
        "arguments": ", ".join(f"{each}={each}" for each in info.features),
    }
    data = SpaceCardData(
        title=name.replace("_", " "),
        emoji="\N{BAR CHART}",
        colorFrom="blue",
        colorTo="indigo",
        sdk="static",
        app_file="index.html",
        pinned=False,
        license="apache-2.0",
        tags=["evaluate", "metric"],
    )
    card = SpaceCard.from_template(
        data, template_path=str(TEMPLATES / "README.md.jinja"), written_by_us=WRITTEN_BY_US, **told
    )
    (folder / "README.md").write_text(f"{card}\n", encoding="utf-8")
    page = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True).get_template("index.html.jinja")
    (folder / "index.html").write_text(page.render(**told) + "\n", encoding="utf-8")


def requirements(source: Path) -> list[str]:
    """The packages that `evaluate` finds a module to import, the standard library's aside; pip has them all
    by these names.
    """
    from evaluate.loading import get_imports

    return sorted({name for _, name, *_ in get_imports(str(source))} - sys.stdlib_module_names)


def main() -> None:
    arguments = parse_arguments(PublishMetricsArguments, description=__doc__)
    published = publish_metrics(arguments)
    if arguments.output:
        print(f"saved to {arguments.output}")
    for destination in published:
        print(f"published to {destination.url}")


if __name__ == "__main__":
    run(main)
