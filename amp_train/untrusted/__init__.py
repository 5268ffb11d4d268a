"""Readers for files that a stranger may have written: they run no code, and check sizes before using memory."""

from amp_train.untrusted.files import NotAFileError, check_no_way_out, open_regular, printable, read_regular
from amp_train.untrusted.pickles import PickleReader, StandIn
from amp_train.untrusted.plain_yaml import parse_plain_yaml

__all__ = [
    "NotAFileError",
    "PickleReader",
    "StandIn",
    "check_no_way_out",
    "open_regular",
    "parse_plain_yaml",
    "printable",
    "read_regular",
]
