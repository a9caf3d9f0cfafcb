"""Options of a transport as the query of a URL gives them: as text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from linkbus._errors import UsageError

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_EXPECTED = {"float": "a number", "int": "a whole number", "bool": "true or false"}
_NO_TEXT = "an object: give it in the program"


def options_of(
    system: str, transport: Callable[..., object], given: Mapping[str, object]
) -> dict[str, object]:
    """Return the options of a transport, with those that are text made what they stand for.

    Args:
        system: How messages call the broker: "Kafka".
        transport: Whose keyword-only arguments are the options.
        given: By name; what is not text stays as it is.

    Raises:
        UsageError: There is no such option, it cannot be given as text, or it is malformed.
    """
    kinds = {
        name: str(parameter.annotation).removesuffix(" | None")
        for name, parameter in inspect.signature(transport).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    for name in given:
        if name not in kinds:
            msg = f"{system} has no option {name!r}; there are: {', '.join(sorted(kinds))}"
            raise UsageError(msg)
    return {name: _value(system, name, value, kinds[name]) for name, value in given.items()}


def _value(system: str, name: str, value: object, kind: str) -> object:
    if not isinstance(value, str) or kind == "str":
        return value
    try:
        return _PARSERS[kind](value)
    except (KeyError, ValueError):
        msg = f"{system} option {name!r} is {_EXPECTED.get(kind, _NO_TEXT)}"
        raise UsageError(msg) from None


def _boolean(text: str) -> bool:
    return _BOOLEANS[text.lower()]


_PARSERS: Mapping[str, Callable[[str], object]] = {"float": float, "int": int, "bool": _boolean}
