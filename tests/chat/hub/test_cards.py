"""What a repository may hold to which something is published; more in `tests/test_published_model.py`."""

import pytest

from chat.cli import UserError
from chat.hub.cards import RepositoryState, refuse_anothers
from chat.hub.repositories import Destination

MARK = "<!-- Written by us"
STRAYS = (".gitattributes", ".gitignore", "README.md", "LICENSE", "chart.png", "demo/notes.json", "train.py")


@pytest.mark.parametrize(
    ("kind", "files", "card", "is_refused"),
    [
        ("model", (), None, False),
        ("model", (".gitattributes", "README.md"), "# Soon", False),
        ("model", STRAYS, "# Soon", False),
        ("model", ("model.safetensors", "train_arguments.json"), None, False),
        ("model", ("model.safetensors", "README.md"), f"# Mine\n{MARK}", False),
        ("model", ("model.safetensors", "modules.json", "README.md"), "# My BERT", True),
        ("model", ("pytorch_model.bin",), None, True),
        ("model", ("q4/chat.gguf",), None, True),
        ("model", ("tokenizer.json", "README.md"), "# My words", True),
        ("dataset", (".gitattributes", "README.md"), "# Soon", False),
        ("dataset", ("data/train.parquet", "stats.json"), None, False),
        ("dataset", ("data/train.parquet", "README.md"), "# Years of work", True),
        ("space", ("README.md", "index.html", "style.css"), "# Soon", False),
        ("space", ("README.md", "app.py"), f"# Chat\n{MARK}", False),
        ("space", ("README.md", "app.py"), "# My page", True),
    ],
)
def test_what_others_made_is_not_replaced(kind, files, card, is_refused, monkeypatch):
    monkeypatch.setattr("chat.hub.cards.state_of", lambda _: RepositoryState("c0ffee", files, card))
    destination = Destination("someone/it", kind)
    if not is_refused:
        return refuse_anothers(destination, MARK)
    told = f"someone/it: is another {kind}, which this would overwrite; name another".replace(
        " space", " Space"
    )
    with pytest.raises(UserError, match=told):
        refuse_anothers(destination, MARK)
