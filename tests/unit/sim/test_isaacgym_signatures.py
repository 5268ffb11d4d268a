"""Every name of Isaac Gym that the backend or the stand-in uses is in `isaacgym-stubs`, with as many arguments."""

import ast
import inspect
import sys
import sysconfig
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Set

import isaacgym_double
import pytest

PACKAGE = Path(__file__).resolve().parents[3] / "amp_train"
FILES = [PACKAGE / "isaacgym_first.py"] + sorted((PACKAGE / "sim").glob("isaacgym*.py"))
GYMTORCH = {"wrap_tensor": 1, "unwrap_tensor": 1}  # it has no stubs
# A class of gymapi, and the names by which an object of it goes in the backend.
OBJECTS = {
    "SimParams": {"params"},
    "PhysXParams": {"physx"},
    "AssetOptions": {"options"},
    "PlaneParams": {"plane"},
    "Transform": {"pose"},
    "ActionEvent": {"event"},
}


class Signature(NamedTuple):
    """Arguments without self; None: the stubs do not say."""

    names: Optional[List[str]]
    num_required: int


class Stubs(NamedTuple):
    names: Set[str]
    gym: Dict[str, Signature]
    fields: Dict[str, Set[str]]


@pytest.fixture(scope="module")
def stubs() -> Stubs:
    file = Path(sysconfig.get_paths()["purelib"]) / "isaacgym-stubs" / "gymapi.pyi"
    if not file.is_file():
        pytest.skip("isaacgym-stubs is not installed (extra `test`)")
    # Two properties are called `lambda`, which Python cannot parse.
    tree = ast.parse(file.read_text().replace("def lambda(", "def lambda_("))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    values = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    gym = {node.name: signature(node.args) for node in classes["Gym"].body if isinstance(node, ast.FunctionDef)}
    return Stubs(set(classes) | functions | values, gym, {name: fields(classes[name]) for name in OBJECTS})


def signature(arguments: ast.arguments) -> Signature:
    names = [argument.arg for argument in arguments.args if argument.arg != "self"]
    return Signature(None if arguments.vararg else names, len(names) - len(arguments.defaults))


def fields(node: ast.ClassDef) -> Set[str]:
    found = {child.target.id for child in node.body if isinstance(child, ast.AnnAssign)}
    return found | {child.name for child in node.body if isinstance(child, ast.FunctionDef)}


def is_gym(node: ast.AST) -> bool:
    """Whether an expression is `gym` or `self._gym`."""
    return (isinstance(node, ast.Name) and node.id == "gym") or (
        isinstance(node, ast.Attribute) and node.attr == "_gym"
    )


def complaints(source: str, stubs: Stubs) -> List[str]:
    """Say what a file takes for granted that the stubs do not have."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and is_gym(node.func.value):
            found += call_complaints(node, node.func.attr, stubs.gym.get(node.func.attr))
        if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
            continue
        if node.value.id == "gymapi" and node.attr not in stubs.names:
            found.append("no gymapi." + node.attr)
        if node.value.id == "gymtorch" and node.attr not in GYMTORCH:
            found.append("no gymtorch." + node.attr)
        for kind, names in OBJECTS.items():
            if node.value.id in names and node.attr not in stubs.fields[kind]:
                found.append(f"no {kind}.{node.attr}")
    return found


def call_complaints(call: ast.Call, name: str, known: Optional[Signature]) -> List[str]:
    if known is None:
        return ["no Gym." + name]
    if known.names is None:
        return []
    given = len(call.args) + len(call.keywords)
    unknown = [str(k.arg) for k in call.keywords if k.arg not in known.names[len(call.args) :]]
    if not known.num_required <= given <= len(known.names) or unknown:
        return [f"Gym.{name} takes {known.names}, not {given} arguments {unknown}"]
    return []


def calls_in(source: str) -> Set[str]:
    functions = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return {f.attr for f in functions if isinstance(f, ast.Attribute) and is_gym(f.value)}


@pytest.mark.parametrize("file", FILES, ids=[file.name for file in FILES])
def test_what_the_backend_uses_is_there(file: Path, stubs: Stubs) -> None:
    assert complaints(file.read_text(), stubs) == []


def test_the_calls_of_the_backend_are_found() -> None:
    calls = set().union(*[calls_in(file.read_text()) for file in FILES])
    assert {"create_sim", "simulate", "set_dof_state_tensor_indexed", "draw_viewer"} <= calls and len(calls) > 30


@pytest.mark.parametrize(
    "source, complaint",
    [
        ("self._gym.simulat(self._sim)", "no Gym.simulat"),
        ("gym.simulate()", "Gym.simulate takes ['arg0'], not 0 arguments []"),
        ("gym.fetch_results(sim)", "Gym.fetch_results takes ['arg0', 'arg1'], not 1 arguments []"),
        ("gym.draw_viewer(viewer, sim, collisions=True)", "collisions"),
        ("params = gymapi.SimParameters()", "no gymapi.SimParameters"),
        ("physx.num_position_iteration = 4", "no PhysXParams.num_position_iteration"),
        ("gymtorch.wrap(x)", "no gymtorch.wrap"),
    ],
)
def test_a_wrong_name_or_count_is_seen(source: str, complaint: str, stubs: Stubs) -> None:
    (found,) = complaints(source, stubs)
    assert complaint in found


def test_the_stand_in_has_the_calls_of_the_backend_and_no_others_with_the_signatures_of_the_stubs(stubs: Stubs) -> None:
    with isaacgym_double.installed():
        gym = sys.modules["isaacgym._gym"].Gym
    methods = {name: f for name, f in vars(gym).items() if inspect.isfunction(f) and not name.startswith("_")}
    assert set(methods) == set().union(*[calls_in(file.read_text()) for file in FILES])
    for name, function in methods.items():
        parameters = list(inspect.signature(function).parameters.values())[1:]
        known = stubs.gym[name]
        if known.names is not None:
            assert [parameter.name for parameter in parameters] == known.names, name
            required = [parameter for parameter in parameters if parameter.default is inspect.Parameter.empty]
            assert len(required) == known.num_required, name


def test_the_settings_of_the_stand_in_are_fields_in_the_stubs(stubs: Stubs) -> None:
    with isaacgym_double.installed() as gymapi:
        for kind in ("SimParams", "PhysXParams", "AssetOptions", "PlaneParams", "Transform"):
            assert set(getattr(gymapi, kind).FIELDS) <= stubs.fields[kind], kind
