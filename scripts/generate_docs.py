"""Write the generated tables of README.md and docs/; `--check` only says whether they are up to date.

  python scripts/generate_docs.py            rewrite every block between "begin generated" and "end generated"
  python scripts/generate_docs.py --check    exit code 1 if a block differs from what would be written

`config-keys` and `task-goals` come from the schema and from the comments in the schema and in conf/*.yaml, `results`,
`results-short` and `results-tasks` from amp_train/pretrained/results.json.
"""

import ast
import inspect
import json
import re
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from omegaconf import DictConfig, ListConfig, OmegaConf

from amp_train.config import compose, isaacgymenvs, schema
from amp_train.sim.factory import BACKENDS

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
RESULTS = ROOT / "amp_train" / "pretrained" / "results.json"
PAGES = ("README.md", "docs/results.md", "docs/configuration.md", "docs/tasks.md", "docs/isaacgymenvs.md")
# The AMP paper's own pose errors, m (Peng et al. 2021, Table 3).
PAPER_ERROR_M = {
    "walk": "0.030", "run": "0.075", "jump": "0.083", "spinkick": "0.058", "spin": "0.047", "cartwheel": "0.067",
    "backflip": "0.150", "dance_a": "0.055", "crawl": "0.049", "roll": "0.088",
}  # fmt: skip
# Its normalised task returns (Table 1); its clips are 56 for heading and location.
PAPER_RETURN = {"heading": "0.90", "location": "0.63", "obstacles": "0.27", "dribble": "0.78", "strike": "0.73"}
# Where the comment of a key is looked for: the first file that has one wins, then the schema.
COMMENTED = {
    "": ("config.yaml",),
    "task": ("task/HumanoidAMP.yaml",),
    "sim": (),
    "character": ("character/humanoid.yaml",),
    "motion": (),
    "train": ("train/HumanoidAMPPPO.yaml",),
}
# Described on a separate page, or filled in by the program.
LEFT_OUT = ("task.task.randomization_params", "task.goal", "train.params.seed", "train.params.torch_threads")
FILLED_IN = (
    "full_experiment_name", "env_name", "device", "device_name", "multi_gpu", "num_actors", "train_dir",
)  # fmt: skip
HEADINGS = {"": "Top level", "train": "`train`: learning"}
UNBOUNDED = 1000  # a limit beyond this only catches typos, and is not shown

Row = Sequence[str]


def markdown_table(head: Row, rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# --- comments of the schema and of conf/ ---


def schema_comments(module: Any) -> Dict[str, Dict[str, str]]:
    """Return for each class of a module the comment at the end of each field's line."""
    source = inspect.getsource(module)
    lines = source.splitlines()
    found: Dict[str, Dict[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            fields = [f for f in node.body if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)]
            found[node.name] = {_name(f): _comment(lines[f.lineno - 1 : f.end_lineno]) for f in fields}
    return found


def _name(node: ast.AnnAssign) -> str:
    assert isinstance(node.target, ast.Name)
    return node.target.id


def _comment(lines: Sequence[str]) -> str:
    return next((line.partition("  # ")[2].strip() for line in lines if "  # " in line), "")


def yaml_comments(text: str) -> Dict[str, str]:
    """Return the comment at the end of each key's line, by dotted key.

    >>> yaml_comments("env:\\n  length: 300   # control steps")
    {'env.length': 'control steps'}
    """
    found, parents = {}, []  # type: ignore
    for line in text.splitlines():
        match = re.match(r"^( *)(\w+):(.*)$", line)
        if match is None:
            continue
        indent, key, rest = len(match.group(1)), match.group(2), match.group(3)
        parents = [(i, k) for i, k in parents if i < indent] + [(indent, key)]
        if " # " in rest:
            found[".".join(k for _, k in parents)] = rest.split(" # ", 1)[1].strip()
    return found


# --- the table of keys ---


def config_keys() -> str:
    """Return a table for each group: every key, its default and what it means.

    Raises:
        SystemExit: a key without a comment.
    """
    default, reference = compose(), compose(["recipe=isaacgymenvs", "train=HumanoidAMPPPO"])
    parts = []
    for group in COMMENTED:
        rows = list(_sim_rows() if group == "sim" else _rows(group, default, reference))
        heading = HEADINGS.get(group, f"`{group}`")
        columns = ["key", "default", "allowed", "meaning"]
        if group == "train":
            heading += "\n\nKeys are below `train.params`. Defaults are those of `motion=walk`."
            columns.insert(2, "`recipe=isaacgymenvs`")
        parts.append(f"### {heading}\n\n{markdown_table(columns, rows)}")
    return "\n\n".join(parts)


def _rows(group: str, default: Any, reference: Any) -> Iterator[Row]:
    node = schema.Config if not group else schema.Config.__dataclass_fields__[group].type
    comments = _yaml_comments(group)
    for leaf in _leaves(node, "", group):
        full = f"{group}.{leaf.key}" if group else leaf.key
        if _is_left_out(full):
            continue
        meaning = comments.get(leaf.key) or leaf.comment
        if not meaning:
            raise SystemExit(f"No comment describes the key {full}: write one in conf/ or in the schema.")
        shown = leaf.key[len("params.") :] if group == "train" else full
        cells = [f"`{shown}`", _value(default, full), leaf.allowed, _cell(meaning)]
        if group == "train":
            cells.insert(2, _value(reference, full))
        yield cells


def _sim_rows() -> Iterator[Row]:
    """Give the keys of all backends, each once; those of a single one name it."""
    backends, seen = {name: backend.config for name, backend in BACKENDS.items()}, set()
    for name, config in backends.items():
        comments = yaml_comments((CONF / "sim" / f"{name}.yaml").read_text())
        for key, item in config.__dataclass_fields__.items():
            if key not in seen and key != "name":
                owners = [n for n, c in backends.items() if key in c.__dataclass_fields__]
                only = f"`sim={owners[0]}`: " if len(owners) == 1 else ""
                value = OmegaConf.select(compose([f"sim={name}"]), f"sim.{key}")  # type: ignore
                yield f"`sim.{key}`", f"`{_text(value)}`", _allowed(item.metadata), only + _cell(comments[key])
            seen.add(key)


class Leaf(NamedTuple):
    """A key of a group, what the schema says of it, and which values it allows."""

    key: str
    comment: str
    allowed: str


def _leaves(node: Any, prefix: str, group: str) -> Iterator[Leaf]:
    comments = schema_comments(schema).get(node.__name__, {})
    for name, item in node.__dataclass_fields__.items():
        if not prefix and not group and name in COMMENTED:
            continue
        if item.type is schema.RandomizationConfig:
            yield Leaf(f"{prefix}{name}.randomize", "domain randomisation (docs/randomization.md)", "")
        elif is_dataclass(item.type):
            yield from _leaves(item.type, f"{prefix}{name}.", group)
        else:
            yield Leaf(prefix + name, comments.get(name, ""), _allowed(item.metadata))


def _allowed(metadata: Mapping[str, Any]) -> str:
    if "choices" in metadata:
        return ", ".join(metadata["choices"])
    if "range" not in metadata:
        return ""
    least, most, is_open = metadata["range"]
    if most < UNBOUNDED:
        return f"above {least:g}, at most {most:g}" if is_open else f"{least:g} to {most:g}"
    if least <= -UNBOUNDED:
        return ""
    return f"above {least:g}" if is_open else f"at least {least:g}"


def _is_left_out(key: str) -> bool:
    parent, _, last = key.rpartition(".")
    filled = last == "name" or (parent == "train.params.config" and last in FILLED_IN)
    initializer = re.search(r"(initializer|_init|regularizer)\.", key)
    return filled or initializer is not None or key.startswith(LEFT_OUT)


def _yaml_comments(group: str) -> Dict[str, str]:
    found: Dict[str, str] = {}
    for name in reversed(COMMENTED[group]):
        found.update(yaml_comments((CONF / name).read_text()))
    return found


def _value(cfg: DictConfig, key: str) -> str:
    node, _, last = key.rpartition(".")
    parent = OmegaConf.select(cfg, node) if node else cfg
    if OmegaConf.is_missing(parent, last):
        return ""
    raw = OmegaConf.to_container(parent, resolve=False)[last]  # type: ignore
    return f"`{_text(raw)}`"


def _text(value: Any) -> str:
    if isinstance(value, dict) and value:
        return "{...}"
    if isinstance(value, (list, ListConfig)):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, float):
        return f"{value:g}"
    return "null" if value is None else str(value)


def _cell(text: str) -> str:
    text = text.replace("|", "\\|").replace("<", "\\<")
    return re.sub(r"\bdocs/([\w/]+)\.md", r"[\1](\1.md)", text)


# --- the goals of tasks ---


def task_goals() -> str:
    """Return a table of the goal settings of each task that has some."""
    parts = []
    for path in sorted((CONF / "task").glob("*.yaml")):
        comments, name = yaml_comments(path.read_text()), path.stem
        goal = OmegaConf.select(compose([f"task={name}"]), "task.goal")  # type: ignore
        own = OmegaConf.to_container(OmegaConf.load(path)).get("goal") or {}  # type: ignore
        rows = [(f"`task.goal.{k}`", f"`{_text(goal[k])}`", _cell(comments.get(f"goal.{k}", ""))) for k in own]
        if any(not row[2] for row in rows):
            raise SystemExit(f"Write a comment beside each key of `goal` in {path.relative_to(ROOT)}.")
        if rows:
            parts.append(f"### `task={name}`\n\n{markdown_table(['key', 'default', 'meaning'], rows)}")
    return "\n\n".join(parts)


# --- keys of IsaacGymEnvs ---


def isaacgymenvs_keys() -> str:
    """Return the handling of each key of IsaacGymEnvs that has a rule."""
    rows = [(f"`{key}`", _cell(_becomes(rule))) for key, rule in isaacgymenvs.KEYS.items()]
    return markdown_table(["key", "here"], sorted(rows, key=lambda row: row[1].split(" ")[0]))


def _becomes(rule: isaacgymenvs.Rule) -> str:
    if isinstance(rule, isaacgymenvs.Renamed):
        return f"read as `{rule.key}`"
    if isinstance(rule, isaacgymenvs.Ignored):
        return f"without effect, with a warning: {rule.why}"
    if isinstance(rule, isaacgymenvs.Refused):
        return f"refused; type `{rule.instead}`"
    return f"accepted as {' or '.join(f'`{value}`' for value in rule.values)}, else refused: {rule.instead}"


# --- results ---


def results() -> str:
    """Return every shipped policy with its evaluation."""
    head = (
        "clip", "samples (M)", "minutes", "error, heading frame (m)", "error, world frame (m)", "paper, world (m)",
        "falls, noise-free", "falls, noisy", "falls, pushed", "speed / clip (m/s)", "tempo", "frames covered",
    )  # fmt: skip
    return markdown_table(head, [_result_row(name, result) for name, result in _shipped()])


def _result_row(name: str, result: Dict[str, Any]) -> Row:
    trained, found = result["trained"], result["evaluation"]
    return (
        name,
        f"{trained['samples'] / 1e6:.1f}",
        f"{trained['minutes']:.0f}",
        f"{found['dtw_pose_error_m']:.3f} +- {found['dtw_pose_error_std_m']:.3f}",
        f"{found['dtw_pose_error_world_m']:.3f}",
        PAPER_ERROR_M.get(name, "-"),
        f"{found['fall_rate']:.0%}",
        f"{found['noisy']['fall_rate']:.0%}",
        f"{found['pushed']['fall_rate']:.0%}",
        f"{found['root_speed_m_s']:.2f} / {found['clip_speed_m_s']:.2f}",
        "-" if found["tempo"] is None else f"{found['tempo']:.2f}",
        f"{min(found['clip_frames_covered'].values()):.0%}",
    )


def results_short() -> str:
    """Return the columns for the README."""
    head = ("clip", "minutes, one core", "error, heading (m)", "error, world (m)", "paper (m)", "falls in 20 s")
    rows = []
    for name, result in _shipped():
        found = result["evaluation"]
        error, world = found["dtw_pose_error_m"], found["dtw_pose_error_world_m"]
        cells = (f"{result['trained']['minutes']:.0f}", f"{error:.3f}", f"{world:.3f}", PAPER_ERROR_M.get(name, "-"))
        rows.append((name, *cells, f"{found['fall_rate']:.0%}"))
    return markdown_table(head, rows)


def results_tasks() -> str:
    """Return every shipped policy of a task with a goal."""
    head = (
        "task", "samples (M)", "minutes", "normalised return", "with noise", "paper", "falls, noise-free",
        "falls, noisy", "falls, pushed", "measures, noise-free", "nearest clip frame (m)", "foot slide (m/s)",
    )  # fmt: skip
    rows = []
    for name, result in _shipped(goals=True):
        trained, found = result["trained"], result["evaluation"]
        noisy = found["noisy"]
        rows.append((
            name,
            f"{trained['samples'] / 1e6:.1f}",
            f"{trained['minutes']:.0f}",
            f"{found['task_return']:.2f} +- {found['task_return_std']:.2f}",
            f"{noisy['task_return']:.2f}",
            PAPER_RETURN.get(name, "-"),
            f"{found['fall_rate']:.0%}",
            f"{noisy['fall_rate']:.0%}",
            f"{found['pushed']['fall_rate']:.0%}",
            ", ".join(f"`{key}` {value:.2f}" for key, value in found["task"].items() if value is not None),
            f"{found['nearest_frame_m']:.3f}",
            f"{found['foot_slide_m_s']:.3f}",
        ))  # fmt: skip
    return markdown_table(head, rows)


def _shipped(goals: bool = False) -> List[Tuple[str, Dict[str, Any]]]:
    """Return the policies that imitate, or those of tasks with goals, sorted by name."""
    results = json.loads(RESULTS.read_text())
    return sorted((name, found) for name, found in results.items() if ("task_return" in found["evaluation"]) == goals)


# --- pages ---

BLOCKS: Dict[str, Callable[[], str]] = {
    "config-keys": config_keys,
    "task-goals": task_goals,
    "isaacgymenvs-keys": isaacgymenvs_keys,
    "results": results,
    "results-short": results_short,
    "results-tasks": results_tasks,
}
BLOCK = re.compile(r"(<!-- begin generated: ([\w-]+) -->\n).*?(<!-- end generated -->)", re.DOTALL)


def with_generated_blocks(text: str) -> str:
    """Return a page with the content of every generated block rewritten."""

    def block(match: "re.Match[str]") -> str:
        return f"{match.group(1)}\n{BLOCKS[match.group(2)]()}\n\n{match.group(3)}"

    return BLOCK.sub(block, text)


def main() -> None:
    """Write the pages, or check them."""
    is_check, stale = "--check" in sys.argv[1:], []
    for name in PAGES:
        page = ROOT / name
        text = page.read_text()
        if with_generated_blocks(text) != text:
            stale.append(name)
            if not is_check:
                page.write_text(with_generated_blocks(text))
    if is_check and stale:
        raise SystemExit(f"Out of date: {', '.join(stale)}. Run: python scripts/generate_docs.py")


if __name__ == "__main__":
    main()
