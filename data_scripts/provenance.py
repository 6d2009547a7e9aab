"""Where each corpus comes from, what may be done with it, and whom to cite."""

from __future__ import annotations

from dataclasses import dataclass


def given_corpora(statistics: dict) -> dict[str, tuple[str, str]]:
    """By the names that they have in `stats.json`, each corpus's kind and path ("": its public source).

    Of two corpora of one kind, the second has a name of its own there.
    """
    given = (each.partition("=")[::2] for each in statistics["options"]["corpora"])
    return dict(zip(statistics["corpora"], given, strict=True))


@dataclass(frozen=True)
class Provenance:
    """
    Attributes:
        title: the name that its authors gave it.
        what: what it consists of, as the object of a sentence.
        terms: under which it may be used.
        source: of the publication; empty where there is none.
        citation: as a BibTeX entry.
        is_made_here: made by this project's code, unless another path is given.
    """

    title: str
    what: str
    terms: str
    source: str = ""
    citation: str = ""
    is_made_here: bool = False

    @property
    def place(self) -> str:
        """Where it is read from, if not from a path."""
        return "this project" if self.is_made_here else "the public source"


PROVENANCE = {
    "cornell": Provenance(
        "Cornell Movie-Dialogs Corpus",
        "conversations from film scripts",
        "for research; the scripts' own rights are not cleared",
        "https://www.cs.cornell.edu/~cristian/Cornell_Movie-Dialogs_Corpus.html",
        """@inproceedings{danescu2011chameleons,
  title = {Chameleons in Imagined Conversations: A New Approach to Understanding Coordination of Linguistic Style in Dialogs},
  author = {Danescu-Niculescu-Mizil, Cristian and Lee, Lillian},
  booktitle = {Proceedings of the Workshop on Cognitive Modeling and Computational Linguistics},
  year = {2011}
}""",  # noqa: E501
    ),
    "personachat": Provenance(
        "PersonaChat",
        "small talk of crowd workers who were each given a persona",
        "none stated with the copy on the Hub",
        "https://aclanthology.org/P18-1205/",
        """@inproceedings{zhang2018personalizing,
  title = {Personalizing Dialogue Agents: I have a dog, do you have pets too?},
  author = {Zhang, Saizheng and Dinan, Emily and Urbanek, Jack and Szlam, Arthur and Kiela, Douwe and Weston, Jason},
  booktitle = {Proceedings of ACL},
  year = {2018}
}""",  # noqa: E501
    ),
    "daily_dialog": Provenance(
        "DailyDialog",
        "everyday conversations from websites for learners of English",
        "CC BY-NC-SA 4.0: no commercial use",
        "https://aclanthology.org/I17-1099/",
        """@inproceedings{li2017dailydialog,
  title = {DailyDialog: A Manually Labelled Multi-turn Dialogue Dataset},
  author = {Li, Yanran and Su, Hui and Shen, Xiaoyu and Li, Wenjie and Cao, Ziqiang and Niu, Shuzi},
  booktitle = {Proceedings of IJCNLP},
  year = {2017}
}""",
    ),
    "multi_session_chat": Provenance(
        "Multi-Session Chat",
        "crowd workers who meet again and remember each other",
        "see its authors",
        "https://aclanthology.org/2022.acl-long.356/",
        """@inproceedings{xu2022beyond,
  title = {Beyond Goldfish Memory: Long-Term Open-Domain Conversation},
  author = {Xu, Jing and Szlam, Arthur and Weston, Jason},
  booktitle = {Proceedings of ACL},
  year = {2022}
}""",
    ),
    "persona_questions": Provenance(
        "Questions about a persona",
        "made-up dialogues in which somebody is asked about a persona and answers by it, put together at "
        "random of this project's sentences",
        "Apache 2.0, as this project",
        is_made_here=True,
    ),
    "jsonl": Provenance("own dialogues", "dialogues given as JSON lines", "those of whoever gave them"),
}


def described(given: dict[str, tuple[str, str]]) -> dict[str, Provenance]:
    """Of the corpora that `given_corpora` tells, those of a kind that is known."""
    return {name: PROVENANCE[kind] for name, (kind, _) in given.items() if kind in PROVENANCE}
