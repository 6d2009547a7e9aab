"""Our cards and those of others made one: nothing that somebody else wrote is lost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat.cli import UserError
from chat.hub.errors import one_line

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData


@dataclass(frozen=True)
class OwnPart:
    """Comments between which the text of a card is ours.

    Attributes:
        begin: how the first comment begins.
        end: the last one; a card without it is ours to its end.
    """

    begin: str
    end: str

    def replaced(self, there: str, ours: str) -> str:
        """A text with our part anew; all of `there`, where it says something and none of it is ours."""
        if not there.strip():
            return ours
        before, begin, rest = there.partition(self.begin)
        if not begin:
            return there
        after = rest.partition(self.end)[2].rstrip()
        inner = ours[ours.index(self.begin) :].rstrip()
        return f"{before}{inner}{after}"


def merged_card(there: str | None, ours: str, own_part: OwnPart, own_metadata: Iterable[str] = ()) -> str:
    """Our card, with what others wrote into the one that is there.

    Of a card of ours what stands outside our part is kept, of another one the whole text. In the metadata
    figures of `model-index` take the place of those of the same metric on the same data, lists are joined,
    and everything else stays as it is there, but for `own_metadata`.

    Args:
        there: the card that is there; None or empty where there is none.
        ours: the card that was rendered now.
        own_metadata: names of what is ours to say.

    Raises:
        UserError: the metadata that is there cannot be read.
    """
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    if not (there or "").strip():
        return ours
    card = ModelCard(ours)
    try:
        old = ModelCard(there)
    except (ValueError, YAMLError) as error:
        raise UserError(f"the card's metadata cannot be read ({one_line(error)}); mend it first") from None
    _merge_metadata(old.data, card.data, set(own_metadata))
    old.text = own_part.replaced(old.text, card.text)
    return str(old)


def _merge_metadata(old: ModelCardData, new: ModelCardData, own: set[str]) -> None:
    old.eval_results = _joined_results(old.eval_results or [], new.eval_results or []) or None
    if old.eval_results and not old.model_name:
        old.model_name = new.model_name
    for name, value in new.__dict__.items():
        there = old.get(name)
        if name in ("eval_results", "model_name"):
            continue
        is_of_anothers_licence = name == "license_name" and old.get("license") != new.get("license")
        if (name not in own and is_of_anothers_licence) or (value is None and name != "license_name"):
            continue
        if isinstance(value, list) and there and name not in own:
            value = list(dict.fromkeys([*(there if isinstance(there, list) else [there]), *value]))
        if there is None or name in own or isinstance(value, list):
            old[name] = value


def _joined_results(old: list[EvalResult], new: list[EvalResult]) -> list[EvalResult]:
    kept = [each for each in old if not any(each.is_equal_except_value(another) for another in new)]
    return [*kept, *new]
