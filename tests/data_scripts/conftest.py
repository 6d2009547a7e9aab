"""Writers of small corpora in the layouts of the public ones."""

import json

import pytest

from data_scripts.arguments import PrepareArguments
from data_scripts.corpora import Corpus, loading


def load_corpora(specifications: list[str], **options) -> list[Corpus]:
    given = {"corpora": specifications, "num_proc": 1, **options}
    with loading(PrepareArguments(**given)) as wait:
        return wait()


@pytest.fixture
def movie_corpus(tmp_path):
    """A function: {film: [[line, ...], ...]} to a folder in ConvoKit's layout; two speakers in turn."""

    def build(films: dict[str, list[list[str]]], name: str = "movie-corpus"):
        folder = tmp_path / name
        folder.mkdir()
        utterances, conversations, speakers = [], {}, {}
        for film, scenes in films.items():
            for scene in scenes:
                first = f"L{len(utterances)}"
                conversations[first] = {"meta": {"movie_idx": film}, "vectors": []}
                for index, text in enumerate(scene):
                    speaker = f"{film}-{index % 2}"
                    speakers[speaker] = {"meta": {"movie_idx": film}, "vectors": []}
                    number = len(utterances)
                    utterances.append(
                        {
                            "id": f"L{number}",
                            "conversation_id": first,
                            "text": text,
                            "speaker": speaker,
                            "meta": {},
                            "reply-to": f"L{number - 1}" if index else None,
                            "timestamp": None,
                            "vectors": [],
                        }
                    )
        lines = "".join(json.dumps(utterance) + "\n" for utterance in utterances)
        (folder / "utterances.jsonl").write_text(lines)
        (folder / "conversations.json").write_text(json.dumps(conversations))
        (folder / "speakers.json").write_text(json.dumps(speakers))
        (folder / "corpus.json").write_text("{}")
        index = {f"{part}-index": {} for part in ("utterances", "speakers", "conversations", "overall")}
        (folder / "index.json").write_text(json.dumps({**index, "version": 1, "vectors": []}))
        return folder

    return build


@pytest.fixture
def rows_corpus(tmp_path):
    """A function: rows by split to a folder of JSON lines that `datasets` reads."""

    def build(name: str = "rows", **splits: list[dict]):
        folder = tmp_path / name
        folder.mkdir()
        for split, rows in splits.items():
            (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return folder

    return build
