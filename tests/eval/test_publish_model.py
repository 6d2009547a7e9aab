"""What a repository may hold to which a model is published; more in `tests/test_published_model.py`."""

import pytest

from chat.cli import UserError
from chat.hub.cards import RepositoryState, refuse_another_model
from chat.hub.repositories import Destination
from eval.card_rendering import OWN_PART


@pytest.mark.parametrize(
    ("files", "card", "is_refused"),
    [
        ((), None, False),
        ((".gitattributes", "README.md"), "# Soon", False),
        (("model.safetensors", "train_arguments.json"), None, False),
        (("model.safetensors", "README.md"), f"# Mine\n{OWN_PART.begin}", False),
        (("model.safetensors", "modules.json", "README.md"), "# My BERT", True),
        (("pytorch_model.bin",), None, True),
    ],
)
def test_a_model_of_others_is_not_replaced(files, card, is_refused):
    given = Destination("someone/model"), RepositoryState("c0ffee", files, card), OWN_PART.begin
    if not is_refused:
        return refuse_another_model(*given)
    with pytest.raises(UserError, match=r"someone/model: is another model, which this would overwrite"):
        refuse_another_model(*given)
