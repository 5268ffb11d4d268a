"""README.md and docs/: every command can be typed, links lead somewhere, generated tables are up to date."""

import re
import subprocess
import sys
from pathlib import Path
from typing import List

import pytest
from docs_commands import PAGES, ROOT, Command, check, commands_of, programs, shell_lines

from amp_train.errors import UserError

ALL_COMMANDS: List[Command] = list({tuple(c.words): c for page in PAGES for c in commands_of(page)}.values())
MAX_LINE = 100
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")


def test_commands_are_found() -> None:
    found = {command.words[0] for command in ALL_COMMANDS}
    assert found >= {"amp-train", "amp-play", "amp-eval", "make"}
    assert len(ALL_COMMANDS) > 50


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=str)
def test_a_command_that_is_shown_can_be_typed(command: Command) -> None:
    check(command)


@pytest.mark.parametrize(
    "line",
    [
        "amp-train moton=walk",
        "amp-train motion=wlak",
        "amp-train -m motion=walk,wlak",
        "amp-train motion=walk train.params.config.gama=0.9",
        "amp-play checkpoint=pretrained/walk episods=3",
        "amp-eval checkpoint=pretrained/walk seed=7",
        "amp-motion imprt walk.bvh",
        "amp-motion import walk.bvh unit=cm",
        "torchrun --nproc_per_node=2 -m amp_train.cli.train multigpu=True",
        "srun amp-train mult_gpu=True",
        'make train ARGS="moton=run"',
        "make trian",
    ],
)
def test_a_slip_in_a_command_is_noticed(line: str) -> None:
    (words,) = programs(line)
    with pytest.raises(UserError):
        check(Command("test:1", words))


def test_lines_are_joined_and_variables_filled_in() -> None:
    text = '```\nOLD="seed=1 num_envs=8"\namp-train \\\n  motion=run $OLD   # fast\n```\nand `amp-play x=1`'
    lines = [(number, words) for number, line in shell_lines(text) for words in programs(line)]
    assert lines == [(3, ["amp-train", "motion=run", "seed=1", "num_envs=8"]), (6, ["amp-play", "x=1"])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    in_block, found = False, []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        in_block ^= line.startswith("```")
        is_prose = not in_block and not line.startswith(("|", "#", "!"))
        if is_prose and len(line) > MAX_LINE:
            found.append(f"{page.name}:{number}: {line}")
    assert found == []


def test_generated_tables_are_up_to_date() -> None:
    script = [sys.executable, str(ROOT / "scripts" / "generate_docs.py"), "--check"]
    done = subprocess.run(script, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("page", [*PAGES, ROOT / "tests" / "README.md"], ids=lambda page: page.name)
def test_files_of_the_project_that_are_named_exist(page: Path) -> None:
    named = re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|sh|sbatch|xml|yaml))(?:::[^`]*)?`", page.read_text())
    roots = (ROOT, ROOT / "amp_train", ROOT / "tests")
    ours = [name for name in named if any((root / name.split("/")[0]).is_dir() for root in roots)]
    assert [name for name in ours if not any((root / name).exists() for root in roots)] == []


def test_every_package_is_in_the_architecture() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    packages = [path.parent.name for path in (ROOT / "amp_train").glob("*/__init__.py")]
    assert len(packages) > 10 and [name for name in packages if f"`{name}`" not in page] == []
