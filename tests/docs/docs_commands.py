"""The command lines that README.md and docs/ show: found in code blocks and spans, checked without running them."""

import re
import shlex
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Sequence

from amp_train.cli import eval as eval_command
from amp_train.cli import motion_jobs
from amp_train.cli import play as play_command
from amp_train.config import check_sweep, compose
from amp_train.config.overrides import parse_overrides
from amp_train.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "motions" / "PROVENANCE.md"]
COMMANDS = ("amp-train", "amp-play", "amp-eval", "amp-motion")
MODULES = {"amp_train.cli.train": "amp-train"}
USAGE = re.compile(r"\[key=value|\[group=option")  # a synopsis, no command line


class Command(NamedTuple):
    """A line of a page, `page:number`, and its words from the program's name on."""

    place: str
    words: List[str]

    def __str__(self) -> str:
        return f"{self.place} {' '.join(self.words)}"


def commands_of(page: Path) -> Iterator[Command]:
    """List the command lines of a page."""
    name = page.relative_to(ROOT).as_posix()
    for number, line in shell_lines(page.read_text()):
        for words in programs(line):
            yield Command(f"{name}:{number}", words)


def shell_lines(text: str) -> Iterator["tuple[int, str]"]:
    """Give the lines of code blocks, continued lines joined and variables filled in, and the code spans elsewhere."""
    variables: Dict[str, str] = {}
    in_block, start, joined = False, 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_block, joined = not in_block, ""
        elif not in_block:
            yield from ((number, span) for span in re.findall(r"`([^`]+)`", line))
        else:
            start = start if joined else number
            joined += line.strip()
            if joined.endswith("\\"):
                joined = joined[:-1] + " "
                continue
            assigned = re.match(r"^([A-Z]+)=\"([^\"]*)\"$", joined)
            if assigned:
                variables[assigned.group(1)] = assigned.group(2)
            yield start, re.sub(r"\$([A-Z]+)\b", lambda m: variables.get(m.group(1), m.group(0)), joined)
            joined = ""


def programs(line: str) -> Iterator[List[str]]:
    """Give the commands of this project in a shell line, each without what goes before and after it."""
    if USAGE.search(line):
        return
    for part in re.split(r"&&|;|\|\s", line):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:  # prose in a code span
            continue
        for i, word in enumerate(words):
            module = MODULES.get(words[i + 1]) if word == "-m" and i + 1 < len(words) else None
            if module or word in COMMANDS:
                arguments = words[i + 1 + bool(module) :]
                if arguments:
                    yield [module or word, *_own(arguments)]
                break
            if word == "make" and i + 1 < len(words):
                yield ["make", *words[i + 1 :]]
                break


def _own(arguments: Sequence[str]) -> List[str]:
    """Leave out redirections, the background sign, an ellipsis, and a file of the reader's that registers tasks."""
    return [a for a in arguments if a not in ("...", "&") and not re.match(r"\d?>|task_file=", a)]


def check(command: Command) -> None:
    """Check a command as far as that goes without running it.

    Raises:
        UserError: with the line that the command itself would print.
    """
    CHECKS[command.words[0]](command.words[1:])


def _check_train(arguments: List[str]) -> None:
    if any(a in ("--help", "-h", "--cfg") or a.startswith("--config-dir") for a in arguments):
        return  # what is in a folder of the reader's is not known
    overrides = [a for a in arguments if a not in ("-m", "--multirun")]
    if len(overrides) < len(arguments):
        check_sweep(overrides)
    else:
        compose(overrides)


def _check_play(arguments: List[str]) -> None:
    if arguments != ["--help"]:
        arguments = [re.sub(r"^watch=", "checkpoint=", a) for a in arguments]  # the run is looked up at once
        compose(play_command.split_arguments(arguments)[1])


def _check_eval(arguments: List[str]) -> None:
    if arguments != ["--help"]:
        compose(eval_command.split_arguments(arguments)[1])


def _check_motion(arguments: List[str]) -> None:
    if arguments == ["--help"]:
        return
    if arguments[0] not in motion_jobs.COMMANDS:
        raise UserError(f"amp-motion has no command '{arguments[0]}'.")
    motion_jobs.split_arguments(arguments[1:])


def _check_make(arguments: List[str]) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for argument in arguments:
        name, is_variable, value = argument.partition("=")
        if name == "ARGS":
            parse_overrides(value.split()) if "=" in value else None
            compose(value.split()) if "train" in arguments else None
        elif not is_variable and argument not in targets:
            raise UserError(f"The Makefile has no target '{argument}'.")


CHECKS: Dict[str, Callable[[List[str]], None]] = {
    "amp-train": _check_train,
    "amp-play": _check_play,
    "amp-eval": _check_eval,
    "amp-motion": _check_motion,
    "make": _check_make,
}
