"""A pickle is a program for a small stack machine that may call any function it names. This machine may not.

It knows only the opcodes that pickling plain data writes (protocols 2 to 5), and a name in the file resolves to a
stand-in of ours or to an error. Python's own Unpickler with another `find_class` is not enough for what strangers
write: hashing a nested tuple as a key can take for ever, BUILD sets attributes of whatever lies on the stack, and
lengths and memo indices are believed. The opcodes are described in `pickletools`."""

import pickletools
import struct
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple

from amp_train.untrusted.files import printable

MAX_OPCODES = 1_000_000
# Whole numbers can be chosen to collide as keys of a dict. The short ones cannot in great numbers.
_LONG_BYTES, _MAX_LONGS = 8, 1000
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
        """Return what the pickle is to get for calling this."""
        raise ValueError("something is called that is no function")

    def set_state(self, state: Any) -> None:
        """Take what the pickle wants this to be filled with."""
        raise ValueError("something is filled that takes no state")


class PickleReader:
    """Runs one pickle."""

    def __init__(self, data: bytes, stand_ins: Mapping[Tuple[str, str], Any]) -> None:
        """Prepare.

        Args:
            data: the pickle; what follows its end is ignored.
            stand_ins: (module, name) -> what to put in its place.
        """
        self._data, self._at = data, 0
        self._stand_ins = stand_ins
        self._stack: List[Any] = []
        self._marks: List[List[Any]] = []
        self._memo: Dict[int, Any] = {}
        self._longs = 0

    def load(self) -> Any:
        """Return what the pickle builds.

        Raises:
            ValueError: with one line to be put after the file's name, such as "is not a valid pickle: ...".
        """
        try:
            return self._run()
        except Refused:
            raise
        except MemoryError:
            raise Refused("is refused: its pickle needs more memory than there is") from None
        # Whatever can be wrong in a program that builds data: types, arities, keys, lengths, an empty stack.
        except Exception as error:
            reason = printable(str(error))[:100] or type(error).__name__
            raise ValueError("is not a valid pickle, or was cut off: {}".format(reason)) from None

    def persistent(self, _: Any) -> Any:
        """Return what lies beside the pickle under a persistent id; subclasses may know."""
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
                message = "is refused: its pickle uses the opcode {}, which plain data does not need"
                raise Refused(message.format(_opcode_name(opcode)))
            action(self)
        raise Refused("is refused: its pickle has more than {} opcodes".format(MAX_OPCODES))

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ValueError("{} bytes are wanted, {} are left".format(count, len(self._data) - self._at))
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
            raise Refused("is refused: its pickle holds too many very large whole numbers")
        self._stack.append(int.from_bytes(content, "little", signed=True))

    def _do_frame(self) -> None:
        if self._number("<Q") > len(self._data) - self._at:
            raise ValueError("a frame is longer than the file")

    def _do_proto(self) -> None:
        raise ValueError("the protocol is named twice")

    def _remember(self, index: int) -> None:
        if index > len(self._data):
            raise ValueError("memo index {} is too large".format(index))
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
            wanted = printable("{}.{}".format(module, name))[:200]
            raise Refused(
                "is refused: its pickle would build '{}', which could run code, and only plain data and arrays are "
                "allowed; nothing of it was run".format(wanted)
            )
        self._stack.append(stand_in)

    def _do_reduce(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, StandIn):
            raise ValueError("something is called that is no function")
        self._stack.append(function.call(*_of_type(arguments, tuple)))

    def _do_build(self) -> None:
        state = self._stack.pop()
        if not isinstance(self._stack[-1], StandIn):
            raise ValueError("something is filled that takes no state")
        self._stack[-1].set_state(state)

    def _do_persistent_id(self) -> None:
        self._stack.append(self.persistent(self._stack.pop()))


class Refused(ValueError):
    """The pickle asks for something that plain data does not need."""


def _of_type(value: Any, wanted: type) -> Any:
    if type(value) is not wanted:
        raise ValueError("a {} where a {} belongs".format(type(value).__name__, wanted.__name__))
    return value


def _set_items(target: Any, items: List[Any]) -> None:
    if not isinstance(target, dict) or len(items) % 2:
        raise ValueError("keys and values without a dict")
    for key, value in zip(items[::2], items[1::2]):
        # A tuple that holds itself many times over takes for ever to hash.
        if type(key) not in _KEY_TYPES:
            raise ValueError("a {} as the key of a dict".format(type(key).__name__))
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
            raise ValueError("a tuple of more than there is")
        reader._stack[cut:] = [tuple(reader._stack[cut:])]

    return push


def _get(form: str) -> Callable[[PickleReader], None]:
    return lambda reader: reader._stack.append(reader._memo[reader._number(form)])


def _put(form: str) -> Callable[[PickleReader], None]:
    return lambda reader: reader._remember(reader._number(form))


def _opcode_name(code: int) -> str:
    names = {ord(opcode.code.encode("latin1")): opcode.name for opcode in pickletools.opcodes}
    return names.get(code, "0x{:02x}".format(code))


def _actions() -> List[Optional[Callable[[PickleReader], None]]]:
    """Return what each of the 256 opcodes does; None: refused."""
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
