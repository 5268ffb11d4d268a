"""Building an Isaac Gym simulation: PhysX's settings, the floor, and N copies of the character.

The numbers are those of IsaacGymEnvs' HumanoidAMP task (cfg/config.yaml, cfg/task/HumanoidAMP.yaml,
tasks/amp/humanoid_amp_base.py), except where a comment says otherwise. Import `amp_train.isaacgym_first` before this.
"""

import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List, Sequence

import torch
from isaacgym import gymapi

from amp_train.character import CharacterSpec, hinge_triple_mjcf
from amp_train.errors import CharacterError, ConfigError

GRAVITY_M_S2 = 9.81
ENV_SPACING_M = 5.0  # only for display: every world has its own coordinates, and worlds do not touch
COLLIDE_WITH_ITSELF = 0  # two shapes collide if their filters have no bit in common
SHAPES = ("sphere", "capsule", "box")
NOT_FOR_ISAAC_GYM = ("visual", "asset", "statistic", "option", "default", "sensor", "keyframe")
# What stands for other elements, and what a class may say of a geom that is left out anyway.
MACROS = ("include", "frame", "replicate", "attach", "composite", "flexcomp")
LOOKS = {"material", "rgba", "group"}


@dataclass(frozen=True)
class IsaacGymSettings:
    """Where and how PhysX runs.

    Attributes:
        device: "cpu" or "cuda:N", where PhysX runs.
        gpu_pipeline: leave the state on that GPU; otherwise it is copied to the CPU after every step.
        num_threads: of PhysX.
        headless: no window.
    """

    device: torch.device
    gpu_pipeline: bool
    num_threads: int
    headless: bool

    @property
    def use_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def state_device(self) -> torch.device:
        """The device of state tensors."""
        if self.use_gpu and self.gpu_pipeline:
            # gymtorch needs the GPU's index.
            return torch.device("cuda", self.device.index or 0)
        return torch.device("cpu")


def create_sim(
    gym: "gymapi.Gym", dt_s: float, substeps: int, num_envs: int, settings: IsaacGymSettings
) -> "gymapi.Sim":
    """Create an empty simulation.

    Args:
        dt_s: s that `simulate` advances.
        substeps: steps of PhysX in it.

    Raises:
        ConfigError: Isaac Gym could not.
    """
    device_id = settings.device.index or 0
    graphics_id = -1 if settings.headless else device_id
    params = sim_params(dt_s, substeps, num_envs, settings)
    sim = gym.create_sim(device_id, graphics_id, gymapi.SIM_PHYSX, params)
    if sim is None:
        raise ConfigError(f"Isaac Gym could not create a simulation on {settings.device}; its own output says why.")
    return sim


def sim_params(dt_s: float, substeps: int, num_envs: int, settings: IsaacGymSettings) -> "gymapi.SimParams":
    """Return the settings of the simulation and of PhysX."""
    params = gymapi.SimParams()
    params.dt, params.substeps = dt_s, substeps
    params.up_axis = gymapi.UP_AXIS_Z
    params.gravity = gymapi.Vec3(0.0, 0.0, -GRAVITY_M_S2)
    params.use_gpu_pipeline = settings.state_device.type == "cuda"
    physx = params.physx
    physx.use_gpu, physx.num_threads, physx.num_subscenes = settings.use_gpu, settings.num_threads, min(4, num_envs)
    physx.solver_type = 1  # temporal Gauss-Seidel
    physx.num_position_iterations, physx.num_velocity_iterations = 4, 0
    physx.contact_offset, physx.rest_offset = 0.02, 0.0
    physx.bounce_threshold_velocity, physx.max_depenetration_velocity = 0.2, 10.0
    physx.default_buffer_size_multiplier, physx.max_gpu_contact_pairs = 5.0, 8 * 1024 * 1024
    # IsaacGymEnvs requests all substeps and calls that broken. Every backend here reports the last one.
    physx.contact_collection = gymapi.CC_LAST_SUBSTEP
    return params


def add_floor(gym: "gymapi.Gym", sim: "gymapi.Sim") -> None:
    """Add the plane z = 0, friction 1."""
    plane = gymapi.PlaneParams()
    plane.normal, plane.distance = gymapi.Vec3(0.0, 0.0, 1.0), 0.0
    plane.static_friction, plane.dynamic_friction, plane.restitution = 1.0, 1.0, 0.0
    gym.add_ground(sim, plane)


def load_asset(gym: "gymapi.Gym", sim: "gymapi.Sim", spec: CharacterSpec) -> "gymapi.Asset":
    """Load the character, and check that its bodies and dofs are in the spec's order.

    Raises:
        CharacterError: Isaac Gym cannot read it, or reads it differently.
    """
    options = gymapi.AssetOptions()
    options.angular_damping, options.max_angular_velocity = 0.01, 100.0
    options.default_dof_drive_mode = int(gymapi.DOF_MODE_NONE)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "character.xml").write_text(asset_mjcf(spec))
        asset = gym.load_asset(sim, folder, "character.xml", options)
    if asset is None:
        raise CharacterError(f"Isaac Gym cannot read character '{spec.name}'; its own output says why.")
    _check_names(spec, "bodies", spec.body_names, gym.get_asset_rigid_body_names(asset))
    _check_names(spec, "dofs", spec.dof_names, gym.get_asset_dof_names(asset))
    return asset


def asset_mjcf(spec: CharacterSpec) -> str:
    """Write the character for Isaac Gym's importer, which supports only part of MJCF: no floor (`add_floor` makes
    one), no light, camera or material, and every geom with its type written out.

    Raises:
        CharacterError: a geom other than sphere, capsule and box, or something that only MuJoCo expands.
    """
    _check_is_written_out(ElementTree.parse(spec.mjcf_path).getroot(), spec.mjcf_path)
    root = ElementTree.fromstring(hinge_triple_mjcf(spec))
    geom_default = root.find("default/geom")
    inherited = {} if geom_default is None else {k: v for k, v in geom_default.attrib.items() if k != "material"}
    for tag in NOT_FOR_ISAAC_GYM:
        for element in root.findall(tag):
            root.remove(element)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in ("light", "camera") or (child.tag == "geom" and parent.tag == "worldbody"):
                parent.remove(child)
    for body in root.iter("body"):
        body.attrib.pop("childclass", None)
    for geom in root.iter("geom"):
        geom.attrib = {**inherited, **{k: v for k, v in geom.attrib.items() if k not in ("material", "class")}}
        if geom.get("type", "sphere") not in SHAPES:
            raise CharacterError(
                f"sim=isaacgym supports only {', '.join(SHAPES)}; geom '{geom.get('name')}' of "
                f"'{spec.mjcf_path}' is a {geom.get('type')}."
            )
    return ElementTree.tostring(root, encoding="unicode")


def _check_is_written_out(root: ElementTree.Element, path: str) -> None:
    """Refuse a file of which less would be left than MuJoCo sees."""
    lacking = [f"<{tag}>" for tag in MACROS if root.find(f".//{tag}") is not None]
    if any(set(geom.attrib) - LOOKS for geom in root.findall("default/default//geom")):
        lacking.append("<default class> for geoms")
    if lacking:
        raise CharacterError(
            f"sim=isaacgym does not read {', '.join(lacking)} in '{path}': write there in full what it stands for."
        )


def create_characters(
    gym: "gymapi.Gym", sim: "gymapi.Sim", asset: "gymapi.Asset", spec: CharacterSpec, num_envs: int
) -> List["gymapi.Env"]:
    """Create N worlds with one character each, PD drives switched on."""
    lower = gymapi.Vec3(-ENV_SPACING_M, -ENV_SPACING_M, 0.0)
    upper = gymapi.Vec3(ENV_SPACING_M, ENV_SPACING_M, ENV_SPACING_M)
    pose = gymapi.Transform()
    pose.p = gymapi.Vec3(*spec.body_offset[0].tolist())
    pose.r = gymapi.Quat(*spec.body_offset_rot[0].tolist())
    drives = pd_drives(gym.get_asset_dof_properties(asset), spec)
    envs = []
    for env_id in range(num_envs):
        env = gym.create_env(sim, lower, upper, max(1, int(num_envs**0.5)))
        actor = gym.create_actor(env, asset, pose, spec.name, env_id, COLLIDE_WITH_ITSELF, 0)
        gym.set_actor_dof_properties(env, actor, drives)
        index = gym.get_actor_index(env, actor, gymapi.DOMAIN_SIM)
        assert index == env_id, "indexed resets count on one actor a world"
        envs.append(env)
    return envs


def pd_drives(properties: Any, spec: CharacterSpec) -> Any:
    """Fill in the structured array of dof properties: position drives with the spec's gains and torque limits."""
    properties["driveMode"] = int(gymapi.DOF_MODE_POS)
    properties["stiffness"] = spec.dof_stiffness.numpy()
    properties["damping"] = spec.dof_damping.numpy()
    properties["effort"] = spec.dof_effort.numpy()
    properties["armature"] = spec.dof_armature.numpy()
    return properties


def _check_names(spec: CharacterSpec, kind: str, expected: Sequence[str], given: Sequence[str]) -> None:
    if list(expected) != list(given):
        raise CharacterError(
            f"Isaac Gym reads the {kind} of character '{spec.name}' as {', '.join(given)}, "
            f"expected {', '.join(expected)}."
        )
