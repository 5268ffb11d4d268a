"""Read pickles of numbers, text, plain containers and numpy arrays; refuse everything else before it is built.

Every name a pickle asks for resolves to a small stand-in of our own, so that not even numpy's constructors run on what
the file says; `untrusted.pickles` tells how the rest of a pickle is kept from doing harm."""

from typing import Any, Dict, List, Tuple, Union

import numpy as np

from amp_train.errors import MotionError
from amp_train.untrusted import PickleReader, StandIn
from amp_train.untrusted.npy import build_array, parse_dtype

PICKLE_MAGIC = b"\x80"


def load_plain_pickle(data: bytes, what: str) -> Any:
    """Return what the pickle holds: numbers, text, lists, dicts, numpy arrays; tuples and object arrays become lists.

    Raises:
        MotionError: cut off or malformed, or it would build anything else; the message names that. Nothing of it has
        run.
    """
    try:
        return _resolved(PickleReader(data, _STAND_INS).load())
    except ValueError as error:
        raise MotionError("{} {}.".format(what, error)) from None


class _Dtype(StandIn):
    """Stands in for a numpy.dtype under construction."""

    __slots__ = ("_descr", "_byte_order")

    def __init__(self, descr: Any) -> None:
        self._descr, self._byte_order = descr, "="

    def set_state(self, state: Any) -> None:
        self._byte_order = state[1]

    def build(self) -> np.dtype:
        if self._byte_order not in ("<", ">", "=", "|") or not isinstance(self._descr, str):
            raise ValueError("not a plain numpy type")
        return parse_dtype(self._byte_order + self._descr, "a pickled array")


class _Array(StandIn):
    """Stands in for a numpy.ndarray under construction."""

    __slots__ = ("value",)

    def __init__(self, value: Union[np.ndarray, List[Any], None] = None) -> None:
        self.value = value

    def set_state(self, state: Tuple[Any, ...]) -> None:
        _, shape, dtype, fortran_order, content = state
        plain = dtype.build()
        if plain.kind == "O":
            if not isinstance(content, list) or shape not in ((), (len(content),)):
                raise ValueError("an array of objects must have at most one dimension")
            self.value = content
        else:
            self.value = _numbers(plain, shape, bool(fortran_order), content)


class _DtypeClass(StandIn):
    """numpy.dtype"""

    __slots__ = ()

    def call(self, descr: Any, *flags: Any) -> _Dtype:
        return _Dtype(descr)


class _Reconstruct(StandIn):
    """numpy.core.multiarray._reconstruct: an empty array, filled by the state that follows."""

    __slots__ = ()

    def call(self, *arguments: Any) -> _Array:
        return _Array()


class _Scalar(StandIn):
    """numpy.core.multiarray.scalar"""

    __slots__ = ()

    def call(self, dtype: _Dtype, content: Any) -> Any:
        return _numbers(dtype.build(), (), False, content).item()


class _FromBuffer(StandIn):
    """numpy.core.numeric._frombuffer, of protocol 5"""

    __slots__ = ()

    def call(self, content: Any, dtype: _Dtype, shape: Any, order: Any) -> _Array:
        return _Array(_numbers(dtype.build(), shape, order == "F", content))


class _OrderedDict(StandIn):
    """collections.OrderedDict; a plain dict keeps order too"""

    __slots__ = ()

    def call(self) -> Dict[Any, Any]:
        return {}


class _Encode(StandIn):
    """_codecs.encode: how protocol 2 writes bytes"""

    __slots__ = ()

    def call(self, text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError("unexpected encoding")
        return text.encode("latin1")


class _NdarrayClass(StandIn):
    """numpy.ndarray, which is only ever an argument"""

    __slots__ = ()


# Instances without a __dict__, so that a pickle cannot leave anything on them for the next one.
_STAND_INS: Dict[Tuple[str, str], StandIn] = {
    ("numpy", "dtype"): _DtypeClass(),
    ("numpy", "ndarray"): _NdarrayClass(),
    ("collections", "OrderedDict"): _OrderedDict(),
    ("_codecs", "encode"): _Encode(),
}
for _package in ("numpy._core.", "numpy.core."):  # numpy 2's and numpy 1's spelling
    _STAND_INS[_package + "multiarray", "_reconstruct"] = _Reconstruct()
    _STAND_INS[_package + "multiarray", "scalar"] = _Scalar()
    _STAND_INS[_package + "numeric", "_frombuffer"] = _FromBuffer()


def _numbers(dtype: np.dtype, shape: Any, fortran_order: bool, content: Any) -> np.ndarray:
    if dtype.kind not in "biufU" or not isinstance(content, (bytes, bytearray)):
        raise ValueError("an array of something else than numbers or text")
    return build_array(dtype, shape, fortran_order, bytes(content), "a pickled array")


def _resolved(root: Any) -> Any:
    """Replace the stand-ins by what they stand for, in place and without recursion, however deep they are nested."""
    holder = [root]
    todo: List[Any] = [holder]
    seen = {id(holder)}
    lists_of_tuples: Dict[int, Tuple[Any, List[Any]]] = {}
    while todo:
        container = todo.pop()
        for key in list(range(len(container)) if isinstance(container, list) else container):
            value = container[key]
            if isinstance(value, _Array):
                value = value.value
            elif isinstance(value, tuple):
                # The tuple is kept beside its list, so that its id is not used again.
                value = lists_of_tuples.setdefault(id(value), (value, list(value)))[1]
            container[key] = value
            if isinstance(value, (list, dict)) and id(value) not in seen:
                seen.add(id(value))
                todo.append(value)
    return holder[0]
