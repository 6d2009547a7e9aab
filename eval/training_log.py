"""The curves of a training run from its TensorBoard logs."""

from __future__ import annotations

from pathlib import Path

from chat.cli import UserError

CURVES = {"training": "train/loss", "validation": "eval/loss"}
Curve = list[tuple[int, float]]


def read_curves(folder: str) -> dict[str, Curve]:
    """Loss by step, in training and in validation.

    A run that was resumed leaves several files; of a step that was done twice, the later one counts.

    Args:
        folder: searched with all folders in it; it should hold the logs of one run.

    Raises:
        UserError: no logs there, or none with a loss.
    """
    files = sorted(Path(folder).rglob("events.out.tfevents.*"))
    if not files:
        raise UserError(
            f"--training-log {folder}: no TensorBoard log there (events.out.tfevents.*); give the run's "
            "folder"
        )
    logs = [_read_file(file) for file in files]
    curves = {}
    for name in CURVES:
        events = sorted((event for log in logs for event in log[name]), key=lambda event: event.wall_time)
        if events:
            curves[name] = sorted({event.step: event.value for event in events}.items())
    if not curves:
        raise UserError(
            f"--training-log {folder}: its TensorBoard logs hold no loss; give a training run's folder"
        )
    return curves


def _read_file(file: Path) -> dict[str, list]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    # 0 keeps every point; the default keeps a sample.
    log = EventAccumulator(str(file), size_guidance={"scalars": 0})
    log.Reload()
    tags = log.Tags()["scalars"]
    return {name: log.Scalars(tag) if tag in tags else [] for name, tag in CURVES.items()}
