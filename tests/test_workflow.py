"""The GitHub workflow: tests first, then the Space from main alone, with the least rights."""

import re

import pytest
import yaml

from tests.conftest import ROOT

[PATH] = (ROOT / ".github" / "workflows").glob("*.yml")
TEXT = PATH.read_text(encoding="utf-8")
WORKFLOW = yaml.safe_load(TEXT)
# YAML 1.1 reads the key `on` as a truth value.
EVENTS = WORKFLOW[True]
JOBS = WORKFLOW["jobs"]
PUBLISHED = "python -m chat.space"


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_the_tests_are_those_of_every_submission():
    assert ".ci/run" in commands("test") and (ROOT / ".ci" / "run").stat().st_mode & 0o111
    assert set(EVENTS) == {"push", "pull_request", "workflow_dispatch"}
    assert EVENTS["push"] == {"branches": ["main"]}


def test_they_run_on_the_oldest_python_that_is_promised_and_on_a_newer_one():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [oldest] = re.findall(r'^requires-python = ">=(.*)"$', project, re.MULTILINE)
    first, *others = JOBS["test"]["strategy"]["matrix"]["python"]
    assert first == oldest and others
    [setup] = (step for step in JOBS["test"]["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["with"]["python-version"] == "${{ matrix.python }}"


def test_no_job_may_do_more_than_read():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in JOBS.values())
    # Run on the code of a stranger's pull request, with this repository's secrets.
    assert "pull_request_target" not in TEXT and "workflow_run" not in TEXT


@pytest.mark.parametrize("job", JOBS)
def test_actions_are_pinned_by_commit_and_keep_no_credentials(job):
    used = [step for step in JOBS[job]["steps"] if "uses" in step]
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"]) for step in used)
    assert len(re.findall(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+\n", TEXT)) == TEXT.count("uses:")
    [checkout] = (step for step in used if step["uses"].startswith("actions/checkout@"))
    assert checkout["with"]["persist-credentials"] is False


def test_the_token_is_seen_by_the_publishing_step_alone():
    assert TEXT.count("secrets.") == 1
    [step] = (step for step in JOBS["sync"]["steps"] if "env" in step)
    assert step["env"]["HF_TOKEN"] == "${{ secrets.HF_TOKEN }}" and step["run"].startswith(PUBLISHED)
    assert "env" not in WORKFLOW and not any("env" in job for job in JOBS.values())


def test_the_space_is_synced_from_main_of_the_repository_itself_after_the_tests():
    sync = JOBS["sync"]
    assert sync["needs"] == "test" and set(JOBS) == {"test", "sync"}
    conditions = [each.strip() for each in sync["if"].split("&&")]
    assert {
        "github.ref == 'refs/heads/main'",
        "github.event_name != 'pull_request'",
        "github.event.repository.fork == false",
    } <= set(conditions)
    assert "||" not in sync["if"] and "always()" not in sync["if"]


def test_no_expression_is_pasted_into_a_shell():
    assert not [command for job in JOBS for command in commands(job) if "${{" in command]


def test_the_command_is_one_that_there_is():
    from chat.cli import parse_arguments
    from chat.space.arguments import SpaceArguments

    [command] = (command for command in commands("sync") if command.startswith(PUBLISHED))
    given = {
        '"$SPACE"': "user/space",
        '"$MODEL"': "user/model",
        '"$TITLE"': "A chat",
        '"$HARDWARE"': "t4-small",
    }
    flags = [given.get(word, word) for word in command.removeprefix(PUBLISHED).split()]
    arguments = parse_arguments(SpaceArguments, flags)
    assert (arguments.push_to_hub, arguments.model) == ("user/space", "user/model")


def test_torch_is_the_version_of_the_requirements():
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    [torch] = re.findall(r"^torch==.*$", requirements, re.MULTILINE)
    assert re.fullmatch(r"torch==[\d.]+", torch)
    installs = [command for job in JOBS for command in commands(job) if "pip install" in command]
    assert installs and all("grep '^torch==' requirements.txt" in command for command in installs)
