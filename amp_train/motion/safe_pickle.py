"""Read pickles of numbers, text, plain containers and numpy arrays; refuse everything else before it is built.

A pickle is a program: it may call any function it names. Here the opcodes are first checked one by one (only those
that pickling plain data produces, no length beyond the file), and then every name it asks for resolves to a small
stand-in of our own, so that not even numpy's constructors run on what the file says."""

import io
import pickle
import pickletools
from typing import Any, Dict, List, Tuple, Union

import numpy as np

from amp_train.errors import MotionError
from amp_train.motion.clip import printable
from amp_train.motion.npy import build_array, parse_dtype

PICKLE_MAGIC = b"\x80"
_MAX_OPCODES = 5_000_000
# What `pickle.dump` of plain data writes with protocols 2 to 5: no NEWOBJ, INST, OBJ, PERSID, EXT; no protocol 0.
_OPCODES = frozenset(
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT SHORT_BINUNICODE "
    "BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8 EMPTY_LIST APPEND APPENDS "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT SETITEM SETITEMS BINGET LONG_BINGET BINPUT "
    "LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD".split()
)


def load_plain_pickle(data: bytes, what: str) -> Any:
    """Return what the pickle holds: numbers, text, lists, dicts, numpy arrays; tuples and object arrays become lists.

    Raises:
        MotionError: cut off or malformed, or it would build anything else; the message names that. Nothing of it has
        run.
    """
    _check_opcodes(data, what)
    try:
        return _resolved(_PlainUnpickler(data, what).load())
    except MotionError:
        raise
    except Exception as error:  # Whatever can be wrong in a program that builds data: types, arities, keys, sizes.
        raise MotionError("{} is not a valid pickle: {}.".format(what, printable(str(error))[:100])) from None


def _check_opcodes(data: bytes, what: str) -> None:
    """Check every opcode without executing any; a memo index far beyond the number of opcodes would cost memory."""
    stream = io.BytesIO(data)
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
            if opcode.name not in _OPCODES or count > _MAX_OPCODES:
                raise MotionError("{} is refused: {}.".format(what, _too_much(opcode.name)))
            if opcode.name == "LONG_BINPUT" and int(argument or 0) > (position or 0):
                raise MotionError("{} is not a valid pickle: memo index {} is too large.".format(what, argument))
    except (ValueError, EOFError, OverflowError, MemoryError) as error:
        reason = printable(str(error))[:100]
        raise MotionError("{} is not a valid pickle, or was cut off: {}.".format(what, reason)) from None


def _too_much(opcode: str) -> str:
    if opcode in _OPCODES:
        return "its pickle has more than {} opcodes".format(_MAX_OPCODES)
    return "its pickle uses the opcode {}, which plain data does not need; nothing of it was run".format(opcode)


class _PlainUnpickler(pickle.Unpickler):
    """Unpickles plain data; names of classes and functions resolve to stand-ins."""

    def __init__(self, data: bytes, what: str) -> None:
        super().__init__(io.BytesIO(data))
        self._what = what

    def find_class(self, module: str, name: str) -> Any:
        for package in ("numpy._core.", "numpy.core."):
            if module.startswith(package):
                module = "numpy." + module[len(package) :]
        stand_in = _STAND_INS.get((module, name))
        if stand_in is None:
            wanted = printable("{}.{}".format(module, name))[:200]
            raise MotionError(
                "{} is refused: its pickle would build '{}', and only numbers, text, lists, dicts and numpy arrays are "
                "allowed; nothing of it was run.".format(self._what, wanted)
            )
        return stand_in


class _Dtype:
    """Stands in for a numpy.dtype under construction."""

    __slots__ = ("_descr", "_byte_order")

    def __init__(self, descr: Any) -> None:
        self._descr, self._byte_order = descr, "="

    def __setstate__(self, state: Any) -> None:
        self._byte_order = state[1]

    def build(self) -> np.dtype:
        if self._byte_order not in ("<", ">", "=", "|") or not isinstance(self._descr, str):
            raise ValueError("not a plain numpy type")
        return parse_dtype(self._byte_order + self._descr, "a pickled array")


class _Array:
    """Stands in for a numpy.ndarray under construction."""

    __slots__ = ("value",)

    def __init__(self, value: Union[np.ndarray, List[Any], None] = None) -> None:
        self.value = value

    def __setstate__(self, state: Tuple[Any, ...]) -> None:
        _, shape, dtype, fortran_order, content = state
        plain = dtype.build()
        if plain.kind == "O":
            if not isinstance(content, list) or shape not in ((), (len(content),)):
                raise ValueError("an array of objects must have at most one dimension")
            self.value = content
        else:
            self.value = _numbers(plain, shape, bool(fortran_order), content)


class _DtypeClass:
    """numpy.dtype"""

    __slots__ = ()

    def __call__(self, descr: Any, *flags: Any) -> _Dtype:
        return _Dtype(descr)


class _Reconstruct:
    """numpy.core.multiarray._reconstruct: an empty array, filled by the state that follows."""

    __slots__ = ()

    def __call__(self, *arguments: Any) -> _Array:
        return _Array()


class _Scalar:
    """numpy.core.multiarray.scalar"""

    __slots__ = ()

    def __call__(self, dtype: _Dtype, content: Any) -> Any:
        return _numbers(dtype.build(), (), False, content).item()


class _FromBuffer:
    """numpy.core.numeric._frombuffer, of protocol 5"""

    __slots__ = ()

    def __call__(self, content: Any, dtype: _Dtype, shape: Any, order: Any) -> _Array:
        return _Array(_numbers(dtype.build(), shape, order == "F", content))


class _OrderedDict:
    """collections.OrderedDict; a plain dict keeps order too"""

    __slots__ = ()

    def __call__(self) -> Dict[Any, Any]:
        return {}


class _Encode:
    """_codecs.encode: how protocol 2 writes bytes"""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding not in ("latin1", "latin-1"):
            raise ValueError("unexpected encoding")
        return text.encode("latin1")


class _NdarrayClass:
    """numpy.ndarray, which is only ever an argument"""

    __slots__ = ()


# Instances without a __dict__, so that a pickle cannot leave anything on them for the next one.
_STAND_INS: Dict[Tuple[str, str], Any] = {
    ("numpy", "dtype"): _DtypeClass(),
    ("numpy", "ndarray"): _NdarrayClass(),
    ("numpy.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy.multiarray", "scalar"): _Scalar(),
    ("numpy.numeric", "_frombuffer"): _FromBuffer(),
    ("collections", "OrderedDict"): _OrderedDict(),
    ("_codecs", "encode"): _Encode(),
}


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
