"""Reading what a stranger may have written: no code of theirs runs, and sizes are checked before memory is taken."""

from amp_train.untrusted.files import NotAFileError, open_regular, printable, read_regular
from amp_train.untrusted.pickles import PickleReader, StandIn
from amp_train.untrusted.plain_yaml import parse_plain_yaml

__all__ = ["NotAFileError", "PickleReader", "StandIn", "open_regular", "parse_plain_yaml", "printable", "read_regular"]
