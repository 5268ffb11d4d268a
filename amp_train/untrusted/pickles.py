"""A pickle is a program for a small stack machine that may call any function by name. This machine may not.

It supports only the opcodes that pickling plain data writes (protocols 2 to 5), and a name in the file resolves to one
of our stand-ins or to an error. Python's own Unpickler with another `find_class` is not safe enough: hashing a nested
tuple as a key can take forever, BUILD sets attributes of anything on the stack, and lengths and memo indices are
trusted. The opcodes are described in `pickletools`."""

import pickletools
import struct
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

import numpy as np

from amp_train.errors import MotionError
from amp_train.untrusted.files import printable
from amp_train.untrusted.npz import build_array, parse_dtype

PICKLE_MAGIC = b"\x80"

MAX_OPCODES = 1_000_000
# Integers can be chosen to collide as keys of a dict; small ones cannot collide in large numbers.
_LONG_BYTES, _MAX_LONGS = 8, 1000
# In protocol 2 the bytes of an array are a text that is encoded, and then handed to the array: twice.
_BUILT_PER_BYTE = 3
_KEY_TYPES = (str, int, float, bool, bytes, type(None))
# Opcode -> length of the argument that follows as it is, or (struct format of the length, kind of content).
_NUMBERS = {b"J": "<i", b"K": "<B", b"M": "<H", b"G": ">d"}
_TEXTS = {b"\x8c": "<B", b"X": "<I", b"\x8d": "<Q"}
_BYTES = {b"C": "<B", b"B": "<I", b"\x8e": "<Q", b"\x96": "<Q"}
_CONSTANTS: Dict[bytes, Any] = {b"N": None, b"\x88": True, b"\x89": False}
_TUPLES = {b")": 0, b"\x85": 1, b"\x86": 2, b"\x87": 3}


class StandIn:
    """Stands for a class or function that a pickle names; only instances of this may be called or given a state."""

    __slots__ = ()

    def call(self, *arguments: Any) -> Any:
        """Return the result of calling this."""
        raise ValueError("it calls something that is not a function")

    def set_state(self, state: Any) -> None:
        """Set the state that the pickle gives."""
        raise ValueError("it sets the state of something that has none")


class PickleReader:
    """Runs one pickle."""

    def __init__(self, data: bytes, stand_ins: Mapping[Tuple[str, str], Any]) -> None:
        """Prepare.

        Args:
            data: the pickle; data after its end is ignored.
            stand_ins: (module, name) -> its replacement.
        """
        self._data, self._at = data, 0
        self._stand_ins = stand_ins
        self._stack: List[Any] = []
        self._marks: List[List[Any]] = []
        self._memo: Dict[int, Any] = {}
        self._longs = self._built = 0

    def load(self) -> Any:
        """Return the object that the pickle builds.

        Raises:
            ValueError: with one line to be put after the file's name, such as "is not a valid pickle: ...".
        """
        try:
            return self._run()
        except Refused:
            raise
        except MemoryError:
            raise Refused("is refused: its pickle needs more memory than there is") from None
        # Any error of a program that builds data: types, arities, keys, lengths, an empty stack.
        except Exception as error:
            reason = printable(str(error))[:100] or type(error).__name__
            raise ValueError(f"is not a valid pickle, or is truncated: {reason}") from None

    def persistent(self, _: Any) -> Any:
        """Return the object outside the pickle with a persistent id; subclasses may support it."""
        raise Refused("is refused: its pickle refers to something outside it")

    def _run(self) -> Any:
        data, actions = self._data, _ACTIONS
        if data[:1] != b"\x80" or not 2 <= data[1] <= 5:
            raise ValueError("it does not begin with protocol 2 to 5")
        self._at = 2
        for _ in range(MAX_OPCODES):
            opcode = data[self._at]
            self._at += 1
            if opcode == 0x2E:  # STOP
                return self._stack.pop()
            action = actions[opcode]
            if action is None:
                name = _opcode_name(opcode)
                raise Refused(f"is refused: its pickle uses the opcode {name}, which plain data does not need")
            action(self)
        raise Refused(f"is refused: its pickle has more than {MAX_OPCODES} opcodes")

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ValueError(f"{count} bytes are needed, {len(self._data) - self._at} are left")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _number(self, form: str) -> Any:
        (value,) = struct.unpack(form, self._take(struct.calcsize(form)))
        return value

    def _line(self) -> str:
        end = self._data.index(b"\n", self._at)
        taken = self._take(end - self._at)
        self._at += 1
        return taken.decode("utf-8")

    def _pop_mark(self) -> List[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    def _do_long(self) -> None:
        content = self._take(self._number("<B"))
        self._longs += len(content) > _LONG_BYTES
        if self._longs > _MAX_LONGS:
            raise Refused("is refused: its pickle contains too many very large integers")
        self._stack.append(int.from_bytes(content, "little", signed=True))

    def _do_frame(self) -> None:
        if self._number("<Q") > len(self._data) - self._at:
            raise ValueError("a frame is longer than the file")

    def _do_proto(self) -> None:
        raise ValueError("the protocol is named twice")

    def _remember(self, index: int) -> None:
        if index > len(self._data):
            raise ValueError(f"memo index {index} is too large")
        self._memo[index] = self._stack[-1]

    def _do_mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _do_append(self) -> None:
        value = self._stack.pop()
        _of_type(self._stack[-1], list).append(value)

    def _do_appends(self) -> None:
        items = self._pop_mark()
        _of_type(self._stack[-1], list).extend(items)

    def _do_set_item(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        _set_items(self._stack[-1], [key, value])

    def _do_set_items(self) -> None:
        items = self._pop_mark()
        _set_items(self._stack[-1], items)

    def _do_tuple_since_mark(self) -> None:
        items = self._pop_mark()
        self._stack.append(tuple(items))

    def _do_global(self) -> None:
        self._find(self._line(), self._line())

    def _do_stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._find(_of_type(module, str), _of_type(name, str))

    def _find(self, module: str, name: str) -> None:
        stand_in = self._stand_ins.get((module, name))
        if stand_in is None:
            wanted = printable(f"{module}.{name}")[:200]
            raise Refused(
                f"is refused: its pickle would build '{wanted}', which could run code, and only plain data and arrays "
                "are allowed; nothing of it was run"
            )
        self._stack.append(stand_in)

    def _do_reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, StandIn):
            raise ValueError("it calls something that is not a function")
        self._count(_of_type(arguments, tuple))
        self._stack.append(function.call(*arguments))

    def _count(self, arguments: Tuple[Any, ...]) -> None:
        """Bound what is built in total: one string can be memoised, and copied many times."""
        self._built += sum(len(part) for part in arguments if isinstance(part, (str, bytes)))
        if self._built > _BUILT_PER_BYTE * len(self._data):
            raise Refused("is refused: its pickle would build more than it contains")

    def _do_build(self) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], StandIn):
            raise ValueError("it sets the state of something that has none")
        self._count(state if isinstance(state, tuple) else ())
        self._stack[-1].set_state(state)

    def _do_persistent_id(self) -> None:
        self._stack.append(self.persistent(self._stack.pop()))


class Refused(ValueError):
    """The pickle uses something that plain data does not need."""


def _of_type(value: Any, wanted: type) -> Any:
    if type(value) is not wanted:
        raise ValueError(f"a {type(value).__name__} instead of a {wanted.__name__}")
    return value


def _set_items(target: Any, items: List[Any]) -> None:
    if not isinstance(target, dict) or len(items) % 2:
        raise ValueError("keys and values without a dict")
    for key, value in zip(items[::2], items[1::2]):
        # A tuple that contains itself many times takes forever to hash.
        if type(key) not in _KEY_TYPES:
            raise ValueError(f"a {type(key).__name__} as the key of a dict")
        target[key] = value


def _push_number(form: str) -> Callable[[PickleReader], None]:
    return lambda reader: reader._stack.append(reader._number(form))


def _push_text(form: str) -> Callable[[PickleReader], None]:
    return lambda reader: reader._stack.append(reader._take(reader._number(form)).decode("utf-8", "surrogatepass"))


def _push_bytes(form: str) -> Callable[[PickleReader], None]:
    return lambda reader: reader._stack.append(reader._take(reader._number(form)))


def _push_constant(value: Any) -> Callable[[PickleReader], None]:
    return lambda reader: reader._stack.append(value)


def _push_new(kind: Callable[[], Any]) -> Callable[[PickleReader], None]:
    return lambda reader: reader._stack.append(kind())


def _push_tuple(size: int) -> Callable[[PickleReader], None]:
    def push(reader: PickleReader) -> None:
        cut = len(reader._stack) - size
        if cut < 0:
            raise ValueError("a tuple of more than the stack contains")
        reader._stack[cut:] = [tuple(reader._stack[cut:])]

    return push


def _get(form: str) -> Callable[[PickleReader], None]:
    return lambda reader: reader._stack.append(reader._memo[reader._number(form)])


def _put(form: str) -> Callable[[PickleReader], None]:
    return lambda reader: reader._remember(reader._number(form))


def _opcode_name(code: int) -> str:
    names = {ord(opcode.code.encode("latin1")): opcode.name for opcode in pickletools.opcodes}
    return names.get(code, f"0x{code:02x}")


def _actions() -> List[Optional[Callable[[PickleReader], None]]]:
    """Return the action of each of the 256 opcodes; None: refused."""
    table: Dict[bytes, Callable[[PickleReader], None]] = {
        b"\x80": PickleReader._do_proto, b"\x95": PickleReader._do_frame, b"\x8a": PickleReader._do_long,
        b"(": PickleReader._do_mark, b"a": PickleReader._do_append, b"e": PickleReader._do_appends,
        b"s": PickleReader._do_set_item, b"u": PickleReader._do_set_items, b"t": PickleReader._do_tuple_since_mark,
        b"c": PickleReader._do_global, b"\x93": PickleReader._do_stack_global, b"R": PickleReader._do_reduce,
        b"b": PickleReader._do_build, b"Q": PickleReader._do_persistent_id,
        b"]": _push_new(list), b"}": _push_new(dict),
        b"h": _get("<B"), b"j": _get("<I"), b"q": _put("<B"), b"r": _put("<I"),
        b"\x94": lambda reader: reader._remember(len(reader._memo)),
    }  # fmt: skip
    table.update({code: _push_number(form) for code, form in _NUMBERS.items()})
    table.update({code: _push_text(form) for code, form in _TEXTS.items()})
    table.update({code: _push_bytes(form) for code, form in _BYTES.items()})
    table.update({code: _push_constant(value) for code, value in _CONSTANTS.items()})
    table.update({code: _push_tuple(size) for code, size in _TUPLES.items()})
    return [table.get(bytes([code])) for code in range(256)]


_ACTIONS = _actions()


def load_plain_pickle(data: bytes, what: str) -> Any:
    """Return the pickle's content: numbers, text, lists, dicts, numpy arrays; tuples and object arrays become lists.

    Raises:
        MotionError: truncated or malformed, or it would build anything else, which the message names. None of it has
        run.
    """
    try:
        return _resolved(PickleReader(data, _STAND_INS).load())
    except ValueError as error:
        raise MotionError(f"{what} {error}.") from None


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
        raise ValueError("an array that contains neither numbers nor text")
    return build_array(dtype, shape, fortran_order, bytes(content), "a pickled array")


def _resolved(root: Any) -> Any:
    """Replace the stand-ins by their values, in place and without recursion, however deep they are nested."""
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
                # The tuple is kept with its list, so that its id is not reused.
                value = lists_of_tuples.setdefault(id(value), (value, list(value)))[1]
            container[key] = value
            if isinstance(value, (list, dict)) and id(value) not in seen:
                seen.add(id(value))
                todo.append(value)
    return holder[0]
