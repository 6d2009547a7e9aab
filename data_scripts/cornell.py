"""Cornell Movie-Dialogs Corpus (Danescu-Niculescu-Mizil & Lee, 2011), read with ConvoKit.

Film dialogue: for research use, the scripts' own rights are not cleared.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from chat.cli import UserError, typed_line
from chat.dialogue import Dialogue, alternating_turns
from data_scripts.cleaning import clean_film_text

if TYPE_CHECKING:
    from convokit import Conversation, Corpus, Utterance

NAME = "cornell"


def load(path: str | None, keep_raw_text: bool, dropped: Counter) -> Iterator[Dialogue]:
    """Conversations of the corpus, grouped by film.

    Args:
        path: the corpus in ConvoKit's layout, as a folder or a .zip; None downloads it with ConvoKit.
        keep_raw_text: keep the published text.
        dropped: counts what is left out, by reason.

    Raises:
        UserError: the corpus cannot be found or read.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for conversation in _open(path, Path(scratch)).iter_conversations():
            texts = [
                (said.speaker.id, _text(said.text, keep_raw_text)) for said in _in_reply_order(conversation)
            ]
            turns = alternating_turns(texts, dropped)
            film = str(conversation.meta.get("movie_idx") or conversation.id)
            yield Dialogue(NAME, turns, group=film)


def _text(text: str | None, keep_raw_text: bool) -> str:
    return (text or "").strip() if keep_raw_text else clean_film_text(text or "")


def _in_reply_order(conversation: Conversation) -> list[Utterance]:
    """Utterances along the chain of replies; in the file's order where they are no chain."""
    utterances = list(conversation.iter_utterances())
    answer_to = {utterance.reply_to: utterance for utterance in utterances}
    chain = []
    following = answer_to.get(None)
    while following is not None and len(chain) < len(utterances):
        chain.append(following)
        following = answer_to.get(following.id)
    return chain if len(chain) == len(utterances) else utterances


def _open(path: str | None, scratch: Path) -> Corpus:
    """The ConvoKit corpus; its progress chatter is swallowed."""
    try:
        import convokit
    except ImportError:
        raise UserError(
            f"--corpora {NAME}: convokit is not installed; `pip install -r requirements-train.txt`, and from "
            'Python 3.14 on also `pip install --no-deps "convokit>=5.0,<6"`'
        ) from None
    with contextlib.redirect_stdout(io.StringIO()):
        if path is None:
            path = _download(convokit)
        return _read(convokit, Path(path), scratch)


def _read(convokit: ModuleType, path: Path, scratch: Path) -> Corpus:
    flag = f"--corpora {NAME}={path}"
    folder = path
    if path.suffix == ".zip" and path.is_file():
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(scratch)
        except zipfile.BadZipFile:
            raise UserError(f"{flag}: not a zip file; download the corpus again") from None
        except (zlib.error, EOFError, RuntimeError) as error:
            raise UserError(f"{flag}: cannot be unpacked ({error}); download the corpus again") from None
        except OSError as error:
            raise UserError(
                f"{flag}: cannot be unpacked into {scratch} ({error.strerror}); make room, or set TMPDIR to "
                "another folder"
            ) from None
        folder = scratch
    found = next(folder.rglob("utterances.jsonl"), None) if folder.is_dir() else None
    if found is None:
        problem = "no such file or folder" if not path.exists() else "it has no `utterances.jsonl`"
        raise UserError(f"{flag}: {problem}; give a corpus in ConvoKit's layout, as a folder or a .zip")
    if found.stat().st_size == 0:
        raise UserError(f"{flag}: the corpus is empty; give one with conversations")
    try:
        if _names_pickles(found.with_name("index.json")):
            raise UserError(
                f"{flag}: has pickled values, by which whoever made it could run any code; give a corpus "
                "without them"
            )
        return convokit.Corpus(filename=str(found.parent))
    except (OSError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{flag}: ConvoKit cannot read it ({typed_line(error)}); download the corpus again"
        ) from error


def _names_pickles(index: Path) -> bool:
    """Whether ConvoKit would unpickle values, whose kind it calls `bin`."""
    told = json.loads(index.read_text(encoding="utf-8")).values()
    kinds = [[*each.values()] for each in told if isinstance(each, dict)]
    # Written anew: in the file it may be written with escapes.
    return '"bin"' in json.dumps(kinds)


def _download(convokit: ModuleType) -> str:
    try:
        return convokit.download("movie-corpus")
    except (OSError, ValueError) as error:
        raise UserError(
            f"--corpora {NAME}: the download by ConvoKit failed ({type(error).__name__}); check the network, "
            f"or give a downloaded copy as {NAME}=movie-corpus.zip"
        ) from error
