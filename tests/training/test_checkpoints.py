"""Which checkpoints count."""

import json

from training.checkpoints import checkpoints, last_whole_checkpoint


def checkpoint(output_dir, step, state):
    folder = output_dir / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    if state is not None:
        (folder / "trainer_state.json").write_text(state)
    return folder


def test_the_last_whole_one_is_found_by_number(tmp_path):
    whole = [checkpoint(tmp_path, step, json.dumps({"global_step": step})) for step in (900, 1000)]
    checkpoint(tmp_path, 1100, None)
    checkpoint(tmp_path, 1200, '{"global_step": 12')
    checkpoint(tmp_path, 1300, json.dumps({"global_step": 1200}))
    checkpoint(tmp_path, 1400, "{}")
    (tmp_path / "checkpoint-best").mkdir()
    assert last_whole_checkpoint(tmp_path) == whole[1]
    assert [path.name.rpartition("-")[2] for path in checkpoints(tmp_path)] == [
        "900",
        "1000",
        "1100",
        "1200",
        "1300",
        "1400",
    ]


def test_nothing_is_found_where_nothing_is(tmp_path):
    assert last_whole_checkpoint(tmp_path / "nowhere") is None
