"""Options that come as text become what the constructor's annotations say."""

from __future__ import annotations

import pytest

from linkbus import UsageError
from linkbus.transports._text_options import options_of


class Some:
    """Has an option of each kind."""

    def __init__(
        self,
        place: str = "",
        *,
        name: str | None = None,
        count: int = 1,
        wait: float | None = 1.0,
        strict: bool = False,
        thing: object = None,
    ) -> None: ...


def options(**given: object) -> dict[str, object]:
    return options_of("Some", Some, given)


def test_text_becomes_what_it_stands_for() -> None:
    """By the annotation; None is not among what text can say."""
    assert options(name="a", count="2", wait="0.5", strict="yes") == {
        "name": "a",
        "count": 2,
        "wait": 0.5,
        "strict": True,
    }


def test_what_is_no_text_stays() -> None:
    """A program gives values, not text."""
    thing = object()
    assert options(thing=thing, wait=3) == {"thing": thing, "wait": 3}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"place": "here"}, "no option 'place'; there are: count, name"),
        ({"count": "1.5"}, "'count' is a whole number"),
        ({"wait": "long"}, "'wait' is a number"),
        ({"strict": "perhaps"}, "'strict' is true or false"),
        ({"thing": "it"}, "'thing' is an object: give it in the program"),
    ],
)
def test_what_cannot_be(given: dict[str, object], said: str) -> None:
    """The error names the option and what it takes."""
    with pytest.raises(UsageError, match=f"Some (has|option).*{said}"):
        options(**given)
