"""Our cards and those of others made one: nothing that somebody else wrote is lost."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chat.cli import UserError
from chat.hub.errors import one_line

MODEL_INDEX = "model-index"
# What makes two metrics one, in two versions of a card.
METRIC_KEYS = ("type", "name", "config", "args")
RESULT_KEYS = ("task", "dataset", "source")
# The lines at the end of what stands below a key that belong to the next one.
LAST_COMMENTS = re.compile(r"(?:\r?\n[ \t]*(?:#[^\n]*)?)*\Z")
# Keys of anything that YAML knows; the Hub's client makes keyword arguments of them.
Metadata = dict[Any, Any]


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
    figures of `model-index` take the place of those of the same model by the same metric on the same data,
    lists are joined, and everything else stays as it is there, but for `own_metadata`.

    Args:
        there: the card that is there; None or empty where there is none.
        ours: the card that was rendered now.
        own_metadata: names of what is ours to say.

    Raises:
        UserError: the metadata that is there cannot be read.
    """
    if not (there or "").strip():
        return ours
    old_block, old, old_text = _parts(there)
    _, new, new_text = _parts(ours)
    metadata = _merged_metadata(old, new, set(own_metadata))
    return _card(there, old_block, old, metadata, own_part.replaced(old_text, new_text))


def without_results(card: str, model: str) -> str:
    """The card without the figures that `model-index` has of this model.

    Raises:
        UserError: its metadata cannot be read.
    """
    block, metadata, text = _parts(card)
    index = metadata.get(MODEL_INDEX)
    if not isinstance(index, list):
        return card
    others = [each for each in index if not (isinstance(each, dict) and each.get("name") == model)]
    if others == index:
        return card
    rest = {name: value for name, value in metadata.items() if name != MODEL_INDEX}
    return _card(card, block, metadata, rest | ({MODEL_INDEX: others} if others else {}), text)


def has_results(card: str) -> bool:
    """Whether there are figures in its metadata; raises UserError where they cannot be read."""
    return bool(_parts(card)[1].get(MODEL_INDEX))


def check_mergeable(there: str | None, model: str | None = None) -> None:
    """Raises UserError where a card could not be merged with the one that is there.

    Args:
        model: whose figures are to come into it.
    """
    _, metadata, _ = _parts(there or "")
    if model:
        _joined_index(metadata.get(MODEL_INDEX), [{"name": model, "results": []}])


def _parts(card: str) -> tuple[str, Metadata, str]:
    """The YAML of a card's metadata, what it says, and the card's text.

    Raises:
        UserError: the metadata cannot be read.
    """
    import yaml
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    block = REGEX_YAML_BLOCK.search(card)
    if not block:
        return "", {}, card
    try:
        metadata = yaml.safe_load(block[2])
    # Values of a known form that are none, such as the 30th of February.
    except (ValueError, yaml.YAMLError) as error:
        raise _unreadable(one_line(error)) from None
    if not isinstance(metadata, dict | None):
        raise _unreadable("no names and values")
    return block[2], metadata or {}, card[block.end() :]


def _card(there: str, block: str, old: Metadata, new: Metadata, text: str) -> str:
    line_break = "\r\n" if "\r\n" in there else "\n"
    return f"---{line_break}{_rewritten(block, old, new, line_break)}{line_break}---{line_break}{text}"


def _unreadable(reason: str) -> UserError:
    return UserError(f"the card's metadata cannot be read ({reason}); mend it first")


def _merged_metadata(old: Metadata, new: Metadata, own: set[str]) -> Metadata:
    merged = dict(old)
    is_anothers_licence = old.get("license") not in (None, new.get("license"))
    for name, value in new.items():
        there = old.get(name)
        if name in own:
            merged[name] = value
        elif name == MODEL_INDEX:
            merged[name] = _joined_index(there, value)
        elif there is None:
            if name != "license_name" or not is_anothers_licence:
                merged[name] = value
        elif isinstance(value, list):
            there = there if isinstance(there, list) else [there]
            merged[name] = [*there, *(each for each in value if each not in there)]
    if "license_name" in own and "license_name" not in new:
        merged.pop("license_name", None)
    return merged


def _joined_index(old: Any, new: list[dict]) -> list:
    """`model-index` with our models' results anew; those of other models stay as they are."""
    if old is not None and not isinstance(old, list):
        raise _unreadable(f"{MODEL_INDEX} is no list")
    joined = list(old or [])
    for ours in new:
        named = (at for at, each in enumerate(joined) if isinstance(each, dict))
        place = next((at for at in named if joined[at].get("name") == ours["name"]), None)
        if place is None:
            joined.append(ours)
        else:
            results = _joined_results(joined[place].get("results") or [], ours["results"])
            joined[place] = {**joined[place], "results": results}
    return joined


def _joined_results(old: Any, new: list[dict]) -> list[dict]:
    if not _are_dicts(old) or not all(_are_dicts(each.get("metrics")) for each in old):
        raise _unreadable(f"{MODEL_INDEX} holds results without metrics")
    joined = [{**each, "metrics": list(each["metrics"])} for each in old]
    for ours in new:
        replaced = [_measured(metric) for metric in ours["metrics"]]
        same = [each for each in joined if all(each.get(key) == ours.get(key) for key in RESULT_KEYS)]
        for each in same:
            each["metrics"] = [metric for metric in each["metrics"] if _measured(metric) not in replaced]
        if same:
            same[0]["metrics"] += ours["metrics"]
        else:
            joined.append(ours)
    return joined


def _are_dicts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(each, dict) for each in found)


def _measured(metric: dict) -> list:
    return [metric.get(key) for key in METRIC_KEYS]


def _rewritten(block: str, old: Metadata, new: Metadata, line_break: str) -> str:
    """A block of YAML that says `new`, in which what has not changed stays to the byte, with all comments."""
    import yaml
    from huggingface_hub.utils import yaml_dump

    def dumped(names: Iterable[Any]) -> str:
        found = {name: new[name] for name in names}
        return yaml_dump(found, sort_keys=False, line_break=line_break).strip() if found else ""

    composed = yaml.compose(block, Loader=yaml.SafeLoader) if old else None
    starts = [key.start_mark.index for key, _ in composed.value] if composed else []
    pieces = [block[: starts[0]] if starts else block]
    for name, start, end in zip(old, starts, [*starts[1:], len(block)], strict=False):
        piece = block[start:end]
        if name not in new or new[name] != old[name]:
            piece = dumped({name} & new.keys()) + LAST_COMMENTS.search(piece)[0]
        pieces.append(piece)
    added = dumped(name for name in new if name not in old)
    rewritten = line_break.join(filter(None, ("".join(pieces), added)))
    try:
        is_right = yaml.safe_load(rewritten) == new
    except yaml.YAMLError:
        is_right = False
    # As of a block in braces, or of one with references to what has changed.
    return rewritten if is_right else dumped(new)
