"""Creates or updates the Space, a chat page on the Hub; or writes what would be uploaded to a folder.

    python -m chat.space --push-to-hub USER/NAME --model USER/MODEL
    python -m chat.space --output space

The Space's model is one on the Hub or, uploaded with it, a folder: by default the embedded one. To run a
Gradio Space, the Hub asks for a paid plan or paid hardware.
"""

from __future__ import annotations

from chat.cli import parse_arguments, run
from chat.space.arguments import SpaceArguments


def main() -> None:
    arguments = parse_arguments(SpaceArguments, description=__doc__)
    from chat.space.publish import make_space

    model, destination = make_space(arguments)
    if arguments.output:
        print(f"saved to {arguments.output}")
    if destination:
        print(f"published to {destination.url}")
        if model.is_private:
            print(
                f"{model.name} is private: give the Space a secret HF_TOKEN that may read it, in "
                f"{destination.url}/settings"
            )


if __name__ == "__main__":
    run(main)
