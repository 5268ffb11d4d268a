"""YAML of plain values: no tags that build objects, no aliases that multiply, no nesting that exhausts the stack."""

from typing import Any

import yaml

MAX_NESTING = 16
# libyaml's loader builds the same plain values, ten times faster.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# What PyYAML raises for text that it cannot read, its constructors of dates and numbers included.
_FAILURES = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def parse_plain_yaml(data: bytes) -> Any:
    """Return what a YAML file of plain values holds.

    Raises:
        ValueError: one line that says what is wrong, to be put after "is".
    """
    try:
        if _is_tricky(data):
            raise _NotPlain("not plain YAML: no aliases, no deep nesting")
        return yaml.load(data, Loader=_LOADER)
    except _NotPlain:
        raise
    except _FAILURES as error:
        raise ValueError("not valid YAML: {}".format(" ".join(str(error).split())[:160])) from None


class _NotPlain(ValueError):
    pass


def _is_tricky(data: bytes) -> bool:
    """Tell whether building the values could take more than a file's size suggests.

    The events come without recursion: a deeply nested file is refused before the loader would recurse into it."""
    depth = 0
    for event in yaml.parse(data, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_NESTING or isinstance(event, yaml.AliasEvent):
            return True
    return False
