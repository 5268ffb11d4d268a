"""The layers of docs/architecture.md: who may import whom, and a few habits that a program can check."""

import ast
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "amp_train"
MAX_LINES = 500

EVERYONE = {"errors", "rotations", "paths", "untrusted", "isaacgym_first", "ranges", "streams"}
# A layer may import itself, what is listed here, and what every layer may import. Below `config`, its schema is
# imported for type annotations only: at run time the import would be circular.
ALLOWED: Dict[str, Set[str]] = {
    "errors": set(),
    "rotations": set(),
    "paths": set(),
    "untrusted": set(),
    "isaacgym_first": set(),
    "ranges": set(),
    "streams": set(),
    "character": {"config.schema"},
    "checkpoint": set(),
    "motion": {"character", "config.schema"},
    "sim": {"character", "config.schema"},
    "distributed": set(),
    "learning": {"checkpoint", "distributed"},
    "env": {"character", "motion", "sim", "config.schema"},
    "evaluation": {"character"},
    # A viewer is one of the loop's callbacks.
    "viewers": {"character", "env", "sim.mujoco_state", "runner.episodes", "runner.steering"},
    "telemetry": {"checkpoint"},
    "config": {
        "character", "motion", "checkpoint", "sim", "learning", "env.randomization", "env.tasks", "distributed.launch",
    },
    "resume": {"character", "motion", "checkpoint", "config"},
    "runner": {
        "character", "motion", "sim", "env", "learning", "checkpoint", "telemetry", "config", "evaluation", "resume",
        "distributed",
    },
    "export": {"character", "sim", "env", "config", "runner"},
    "cli": {
        "character", "motion", "sim", "env", "learning", "checkpoint", "telemetry", "config", "evaluation", "resume",
        "distributed", "runner", "viewers", "export",
    },
}  # fmt: skip

# A vendor's package, and the files or folders that may import it.
VENDORS: Dict[str, Set[str]] = {
    "isaacgym": {"sim/isaacgym", "isaacgym_first.py"},
    "warp": {"sim/mujoco_warp"},
    "mujoco_warp": {"sim/mujoco_warp"},
    "mujoco": {
        "sim/mujoco",
        "character/",
        "viewers/",
        "export/",
        "motion/retarget/ik.py",
        "motion/strength.py",
    },
    "mink": {"motion/retarget/ik.py"},
    "rl_games": {"learning/", "runner/", "telemetry/"},
    "matplotlib": {"viewers/", "evaluation/"},
    "imageio": {"viewers/"},
    "viser": {"viewers/"},
    "mjviser": {"viewers/"},
    "onnx": {"export/"},
    "onnxruntime": {"export/"},
    "rich": {"telemetry/"},
}


class Import(NamedTuple):
    module: str
    line: int


def imports_of(tree: ast.AST) -> Iterator[Import]:
    """List what a file imports, at the top or inside functions; `from a import b` is a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                yield Import(f"{module}.{alias.name}", node.lineno)


def breaches(path: str, source: str) -> List[str]:
    """Say what breaks the rules in one file of the package, `path` being relative to it."""
    tree, layer = ast.parse(source), path.split("/")[0].replace(".py", "")
    found = []
    for imported in imports_of(tree):
        where, module = f"{path}:{imported.line}: ", imported.module
        top, _, rest = module.partition(".")
        if module.startswith("."):
            found.append(where + "relative import")
        elif top == "amp_train" and rest and not _may_import(layer, rest):
            found.append(f"{where}'{layer}' may not import '{module}'")
        elif top in VENDORS and not any(path.startswith(place) for place in VENDORS[top]):
            found.append(f"{where}only {', '.join(sorted(VENDORS[top]))} may import {top}")
    found += [f"{path}:{line}: {what}" for line, what in _bad_calls(tree, layer)]
    length = source.count("\n")
    if length > MAX_LINES:
        found.append(f"{path}: {length} lines, more than {MAX_LINES}")
    return sorted(set(found))


def _may_import(layer: str, module: str) -> bool:
    if layer == "__init__":
        return False
    target = module.split(".")[0]
    listed = any(module == name or module.startswith(name + ".") for name in ALLOWED.get(layer, set()))
    # amp_train.__version__ and the like are no layer.
    return target in EVERYONE | {layer} or listed or target not in ALLOWED


def _bad_calls(tree: ast.AST, layer: str) -> Iterator["tuple[int, str]"]:
    """Find prints outside the command line, and loads that could run what a file holds."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name == "print" and isinstance(node.func, ast.Name) and layer != "cli":
            yield node.lineno, "print in the library"
        for keyword in node.keywords:
            value = getattr(keyword.value, "value", None)
            if (keyword.arg, value) in (("weights_only", False), ("allow_pickle", True)):
                yield node.lineno, f"{keyword.arg}={value} runs code that a file brings"
        if name in ("load", "loads") and getattr(getattr(node.func, "value", None), "id", "") in ("pickle", "joblib"):
            yield node.lineno, "pickle runs code that a file brings"


FILES = sorted(PACKAGE.rglob("*.py"))


def test_there_is_something_to_check() -> None:
    assert len(FILES) > 20


@pytest.mark.parametrize("file", FILES, ids=[f.relative_to(PACKAGE).as_posix() for f in FILES])
def test_file_keeps_to_its_layer(file: Path) -> None:
    assert breaches(file.relative_to(PACKAGE).as_posix(), file.read_text()) == []


def test_every_layer_has_its_rule() -> None:
    layers = {f.relative_to(PACKAGE).parts[0].replace(".py", "") for f in FILES} - {"__init__"}
    assert layers - set(ALLOWED) == set()


@pytest.mark.parametrize(
    "path, source, complaint",
    [
        ("learning/agent.py", "from amp_train.env import AmpEnv", "'learning' may not import"),
        ("sim/mujoco_cpu.py", "import amp_train.motion.library", "'sim' may not import"),
        ("character/spec.py", "def f():\n    from amp_train import sim", "'character' may not import"),
        ("env/amp_env.py", "from ..viewers import render_video", "relative import"),
        ("viewers/video.py", "from amp_train.sim.mujoco_cpu import MujocoSimulator", "'viewers' may not import"),
        ("env/amp_env.py", "import mujoco.rollout", "may import mujoco"),
        ("sim/factory.py", "import isaacgym", "may import isaacgym"),
        ("cli/train.py", "import warp as wp", "may import warp"),
        ("env/amp_env.py", "print('x')", "print in the library"),
        ("checkpoint/load.py", "torch.load(p, weights_only=False)", "weights_only=False"),
        ("motion/storage.py", "np.load(p, allow_pickle=True)", "allow_pickle=True"),
        ("motion/storage.py", "import pickle\npickle.load(f)", "pickle runs code"),
        ("env/amp_env.py", "x = 1\n" * 501, "501 lines"),
    ],
)
def test_the_check_sees_a_breach(path: str, source: str, complaint: str) -> None:
    (found,) = breaches(path, source) or [""]
    assert complaint in found


@pytest.mark.parametrize(
    "path, source",
    [
        ("learning/agent.py", "from rl_games.common import a2c_common\nfrom amp_train.checkpoint import safe_load"),
        ("env/amp_env.py", "from amp_train import rotations\nfrom amp_train.sim import make_simulator"),
        ("sim/mujoco_cpu.py", "def f():\n    import mujoco"),
        ("cli/train.py", "from amp_train.viewers import render_video\nprint('done')"),
        ("viewers/scene.py", "from amp_train.sim.mujoco_state import MujocoState"),
        ("motion/storage.py", "np.load(p, allow_pickle=False)"),
    ],
)
def test_the_check_lets_good_code_pass(path: str, source: str) -> None:
    assert breaches(path, source) == []
