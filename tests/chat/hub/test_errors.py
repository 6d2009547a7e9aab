"""What a failure of the Hub's client means: whether another try may help."""

import json

from chat.hub.errors import failure_of


def test_an_answer_that_cannot_be_read_is_no_mistake_of_the_user():
    """As of a gateway in front of the Hub, which says in HTML that the Hub is down."""
    try:
        json.loads("<html>502 Bad Gateway</html>")
    except ValueError as error:
        failure = failure_of(error)
    assert not failure.is_lasting and str(failure) == "the Hub's answer cannot be read; try again later"
    assert failure_of(ValueError("Invalid metadata")).is_lasting
