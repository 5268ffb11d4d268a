"""YAML of plain values: no tags that build objects, no aliases that multiply, no nesting that exhausts the stack."""

import re
from typing import Any

import yaml

MAX_NESTING = 16
MAX_NUMBER = 40  # characters; PyYAML reads 1:30:00 as a number to base 60, and long ones take hours
_NUMBER_LIKE = re.compile(r"[-+.0-9][0-9_:.]*")
# libyaml's loader builds the same plain values, ten times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# The exceptions of PyYAML, including its constructors of dates and numbers.
_FAILURES = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def parse_plain_yaml(data: bytes) -> Any:
    """Return the content of a YAML file of plain values.

    Raises:
        ValueError: one line that says what is wrong, to be put after "is".
    """
    try:
        if _is_tricky(data):
            raise _NotPlain("not plain YAML: no aliases, no tags, no deep nesting, no endless numbers")
        return yaml.load(data, Loader=_LOADER)
    except _NotPlain:
        raise
    except _FAILURES as error:
        raise ValueError(f"not valid YAML: {' '.join(str(error).split())[:160]}") from None


class _NotPlain(ValueError):
    pass


def _is_tricky(data: bytes) -> bool:
    """Return whether building the values could need more than the file's size suggests.

    The events come without recursion: a deeply nested file is refused before the loader would recurse into it."""
    depth = 0
    for event in yaml.parse(data, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_NESTING or isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            return True
        if (
            isinstance(event, yaml.ScalarEvent)
            and len(event.value) > MAX_NUMBER
            and _NUMBER_LIKE.fullmatch(event.value)
        ):
            return True
    return False
