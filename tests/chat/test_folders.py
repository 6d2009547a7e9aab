"""Outputs appear whole or not at all, and nothing foreign is replaced."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from chat.cli import UserError
from chat.folders import (
    Contents,
    check_replaceable,
    check_writable,
    full_disk,
    is_whole,
    is_write_failure,
    link_or_copy,
    sizes,
    whole_folder,
    write_whole,
)
from tests.conftest import ROOT

DONE = Contents("done.txt", ("*.log",))


def write(output, text):
    with whole_folder(output, DONE, "--output") as folder:
        (folder / "done.txt").write_text(text)


def test_it_appears_and_replaces_its_like(tmp_path):
    output = tmp_path / "deep" / "out"
    write(output, "one")
    write(output, "two")
    assert (output / "done.txt").read_text() == "two"
    assert [path.name for path in output.parent.iterdir()] == ["out"]


def test_what_killed_runs_left_beside_it_is_in_nobodys_way(tmp_path):
    output = tmp_path / "out"
    write(output, "one")
    for leftover in (".out.incomplete", ".out.replaced"):
        (tmp_path / leftover).mkdir()
        (tmp_path / leftover / "half.log").touch()
    write(output, "two")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "done.txt"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_leaves_the_earlier_one(tmp_path, error):
    output = tmp_path / "out"
    write(output, "one")
    with pytest.raises(error), whole_folder(output, DONE, "--output") as folder:
        (folder / "done.txt").write_text("half")
        raise error
    assert (output / "done.txt").read_text() == "one"
    assert [*tmp_path.iterdir()] == [output]
    write(output, "two")
    assert (output / "done.txt").read_text() == "two"


def test_a_write_failure_that_says_nothing_is_named_by_its_kind(tmp_path):
    class SafetensorError(Exception):
        """As safetensors names its own."""

    said = r"^--output .*out: cannot be written \(SafetensorError\); make room"
    with pytest.raises(UserError, match=said), whole_folder(tmp_path / "out", DONE, "--output"):
        raise SafetensorError


def test_a_foreign_folder_or_file_is_refused_untouched(tmp_path):
    (tmp_path / "out").mkdir()
    check_replaceable(tmp_path / "out", DONE, "--output")
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for output in (tmp_path / "out", tmp_path / "file"):
        with pytest.raises(UserError, match=r"^--output .* already holds something else"):
            write(output, "one")
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


def test_what_no_earlier_run_wrote_is_not_replaced_with_it(tmp_path):
    output = tmp_path / "out"
    write(output, "one")
    for ours in ("a.log", ".DS_Store"):
        (output / ours).touch()
    write(output, "two")
    (output / "weights.safetensors").write_text("a night of training")
    with pytest.raises(
        UserError, match=r"^--output .*out: would be replaced, and holds `weights.safetensors`"
    ):
        write(output, "three")
    assert sorted(path.name for path in output.iterdir()) == ["done.txt", "weights.safetensors"]


def test_what_a_link_names_is_replaced_and_not_the_link(tmp_path):
    (tmp_path / "disk").mkdir()
    link = tmp_path / "out"
    link.symlink_to("disk/out")
    for text in ("one", "two"):
        write(link, text)
        assert link.is_symlink() and (tmp_path / "disk" / "out" / "done.txt").read_text() == text
    assert len(list(tmp_path.rglob("*"))) == 4


def test_a_git_repository_is_refused(tmp_path):
    write(tmp_path / "out", "one")
    (tmp_path / "out" / ".git").mkdir()
    with pytest.raises(UserError, match="is a git repository, whose history would go"):
        write(tmp_path / "out", "two")
    assert (tmp_path / "out" / "done.txt").read_text() == "one"


def test_the_folder_that_it_runs_in_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^--output \.: is the folder that this runs in"):
        write(".", "one")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for attempt in (lambda output: write(output, "one"), lambda output: check_writable(output, "--output")):
        with pytest.raises(UserError, match=r"^--output .*file/out: cannot be written"):
            attempt(tmp_path / "file" / "out")


def test_whether_a_place_can_be_written_is_found_without_a_trace(tmp_path):
    for output in (tmp_path / "out", tmp_path / "deep" / "deeper" / "out"):
        check_writable(output, "--output")
        assert not [*tmp_path.iterdir()]
    write(tmp_path / "out", "one")
    check_writable(tmp_path / "out", "--output")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "done.txt"]


def test_a_mounted_disk_is_refused_which_no_folder_takes_the_place_of(tmp_path, monkeypatch):
    """Such as a volume in a container."""
    disk, link = tmp_path / "disk", tmp_path / "link"
    disk.mkdir()
    link.symlink_to(disk)
    monkeypatch.setattr("chat.folders.os.path.ismount", lambda path: str(path) == str(disk))
    for output in (disk, link):
        with pytest.raises(UserError, match=r"^--output .*: is a mounted disk, which cannot be"):
            write(output, "one")
    write(link / "out", "one")


def test_a_full_disk_is_named_and_leaves_the_earlier_one(tmp_path):
    output = tmp_path / "out"
    write(output, "one")
    with (
        pytest.raises(UserError, match=r"^--output .*out: cannot be written .*No space left on device"),
        whole_folder(output, DONE, "--output"),
        open("/dev/full", "w", buffering=1) as full,
    ):
        full.write("more\n")
    assert (output / "done.txt").read_text() == "one" and len(list(tmp_path.iterdir())) == 1


def test_where_the_earlier_one_cannot_be_replaced_neither_is_lost(tmp_path, monkeypatch):
    write(tmp_path / "out", "one")
    replace = os.replace

    def fails_at_the_second(source, target):
        if str(source).endswith(".incomplete"):
            raise OSError(errno.EBUSY, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails_at_the_second)
    told = r"^--output .*: cannot be replaced \(Device .* busy\); what was to stand there is in .*incomplete$"
    with pytest.raises(UserError, match=told):
        write(tmp_path / "out", "two")
    texts = {path.parent.name: path.read_text() for path in tmp_path.rglob("done.txt")}
    assert texts == {".out.incomplete": "two", ".out.replaced": "one"}


def test_each_library_says_in_its_own_way_that_a_disk_is_full():
    class SafetensorError(Exception):
        pass

    torchs = RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")
    disks = (OSError(number, "") for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS))
    for error in (*disks, SafetensorError("I/O error"), torchs):
        assert is_write_failure(error)
    assert not is_write_failure(RuntimeError("shapes differ")) and not is_write_failure(
        OSError(errno.ENOENT, "")
    )


WRITES = """
import sys, time
from chat.folders import Contents, whole_folder
with whole_folder(sys.argv[1], Contents("done.txt"), "--output"):
    print("begun", flush=True)
    time.sleep(600)
"""


def test_two_processes_do_not_write_one_folder(tmp_path):
    command = [sys.executable, "-c", WRITES, str(tmp_path / "out")]
    other = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "begun\n"
        with pytest.raises(
            UserError, match=r"^--output .*out: another process writes there; wait for its end"
        ):
            write(tmp_path / "out", "one")
        assert (tmp_path / ".out.incomplete").is_dir()
    finally:
        other.kill()
        other.communicate()
    write(tmp_path / "out", "one")
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_named_where_openvino_writes(tmp_path):
    import openvino
    from openvino import opset13

    number = opset13.parameter([1])
    model = openvino.Model([opset13.add(number, opset13.constant([1.0], openvino.Type.f32))], [number])
    with (
        pytest.raises(UserError, match=r"^--output .*out: cannot be written \(.*\); make room"),
        whole_folder(tmp_path / "out", DONE, "--output") as scratch,
    ):
        (scratch / "openvino_model.bin").symlink_to("/dev/full")
        openvino.save_model(model, scratch / "openvino_model.xml")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_found_behind_what_a_library_makes_of_it():
    full = OSError(errno.ENOSPC, "No space left on device")
    told, untold = RuntimeError("cannot generate"), ValueError("while handling it")
    told.__cause__, untold.__context__ = full, told
    assert full_disk(full) is full_disk(told) is full_disk(untold) is full
    assert full_disk(OSError(errno.ENOENT, "No such file")) is full_disk(RuntimeError()) is None


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def iterdir(_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.iterdir", iterdir)
    with pytest.raises(UserError, match=r"^--output .*: cannot be read \(Permission denied\); give another"):
        check_replaceable(tmp_path, DONE, "--output")


@pytest.mark.parametrize("name", ["around", "around/model"])
def test_links_in_a_circle_are_found_before_the_work(tmp_path, name):
    (tmp_path / "around").symlink_to(tmp_path / "again")
    (tmp_path / "again").symlink_to(tmp_path / "around")
    with pytest.raises(
        UserError, match=r"^--output .*: cannot be read \(Too many levels of symbolic links\)"
    ):
        check_replaceable(tmp_path / name, DONE, "--output")


@pytest.mark.parametrize("has_links", [True, False])
def test_a_second_name_keeps_a_file_whose_first_one_goes(tmp_path, monkeypatch, has_links):
    """Also on a disk that knows but one name of a file."""

    def link(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    if not has_links:
        monkeypatch.setattr(os, "link", link)
    (tmp_path / "first").write_text("weights")
    link_or_copy(str(tmp_path / "first"), str(tmp_path / "second"))
    assert (tmp_path / "second").stat().st_nlink == 1 + has_links
    (tmp_path / "first").unlink()
    assert (tmp_path / "second").read_text() == "weights"


def test_a_folder_is_whole_with_all_its_files_at_their_sizes(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "data.arrow").write_text("rows")
    (tmp_path / "stats.json").write_text("{}")
    expected = sizes(tmp_path, except_for="stats.json")
    assert expected == {"train/data.arrow": 4}
    (tmp_path / "train" / "cache.arrow").touch()
    assert is_whole(tmp_path, expected)
    (tmp_path / "train" / "data.arrow").write_text("row")
    assert not is_whole(tmp_path, expected)
    (tmp_path / "train" / "data.arrow").unlink()
    assert not is_whole(tmp_path, expected)


def test_a_file_is_replaced_whole_with_its_rights_and_behind_its_link(tmp_path):
    file, link, private, before = (tmp_path / name for name in ("file", "link", "private", "before"))
    before.touch()
    write_whole(file, b"old")
    write_whole(private, b"what somebody said", is_private=True)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (file, before, private)]
    assert modes[0] == modes[1] and modes[2] == 0o600
    file.chmod(0o640)
    link.symlink_to("file")
    write_whole(link, b"new")
    assert link.is_symlink() and file.read_bytes() == b"new" and stat.S_IMODE(file.stat().st_mode) == 0o640
    assert len([*tmp_path.iterdir()]) == 4


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_file_that_is_not_written_whole_stays_as_it_was(tmp_path, monkeypatch, error):
    def fail(descriptor):
        os.ftruncate(descriptor, 1)
        raise error

    write_whole(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        write_whole(tmp_path / "file", b"new")
    assert [*tmp_path.iterdir()] == [tmp_path / "file"] and (tmp_path / "file").read_bytes() == b"old"
