"""Fields of the configuration's dataclasses with the allowed values; `config/validate.py` checks them."""

from dataclasses import field
from typing import Any, Dict, NamedTuple, Union

from omegaconf import MISSING

Number = Union[int, float]


class Range(NamedTuple):
    """The allowed range of a number: from `least` to `most`, without `least` itself if `is_open`."""

    least: Number
    most: Number
    is_open: bool = False

    def __contains__(self, value: Any) -> bool:  # NaN is in no range
        return self.least <= value <= self.most and not (self.is_open and value == self.least)

    def __str__(self) -> str:
        least, most = (f"{n:g}" if isinstance(n, float) else str(n) for n in (self.least, self.most))
        return f"{'above' if self.is_open else 'at least'} {least} and at most {most}"


def between(least: Number, most: Number, default: Any = MISSING) -> Any:
    """Return a field for a number, or for a list or dict of them, from `least` to `most`."""
    return _field(default, {"range": Range(least, most)})


def above(least: Number, most: Number, default: Any = MISSING) -> Any:
    """Return a field for a number, or for a list or dict of them, more than `least` and at most `most`."""
    return _field(default, {"range": Range(least, most, is_open=True)})


def one_of(*choices: str, default: Any = MISSING) -> Any:
    """Return a field for one word out of several."""
    return field(default=default, metadata={"choices": choices})


def _field(default: Any, metadata: Dict[str, Any]) -> Any:
    if isinstance(default, (dict, list)):
        return field(default_factory=type(default), metadata=metadata)
    return field(default=default, metadata=metadata)
