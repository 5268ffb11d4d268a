"""The stand-in's `Gym`: the calls that the backend makes, checked harder than the original checks them."""

import os

import numpy as np

from isaacgym import gymapi
from isaacgym._physics import Asset, Physics, compile_model


class Sim:
    """What one simulation holds, and what has been done with it."""

    def __init__(self, params):
        self.params, self.floor, self.envs, self.is_prepared, self.is_destroyed = params, None, [], False, False
        self.acquired, self.is_fetched, self.was_set = set(), True, set()


class Env:
    def __init__(self, sim):
        self.sim, self.actor = sim, None


class Viewer:
    """Tests set `events` and `has_closed`."""

    def __init__(self):
        self.events, self.has_closed, self.actions, self.drawn, self.is_destroyed = [], False, {}, 0, False


class Actor:
    def __init__(self, asset, pose, index):
        self.asset, self.pose, self.index, self.dofs = asset, pose, index, asset.dofs.copy()


def _need(condition, what):
    if not condition:
        raise RuntimeError("isaacgym stand-in: " + what)


class Gym:
    """One for the process."""

    def __init__(self):
        self.alive, self.viewers = None, []

    def create_sim(self, compute_device=0, graphics_device=0, type=gymapi.SimType.SIM_FLEX, params=None):
        _need(self.alive is None, "one simulation at a time")
        _need(type == gymapi.SIM_PHYSX, "the tensor API is PhysX's")
        _need(not params.physx.use_gpu and not params.use_gpu_pipeline, "there is no GPU here")
        _need(params.substeps > 0 and params.dt > 0 and params.up_axis == gymapi.UP_AXIS_Z, "settings")
        self.alive = Sim(params)
        return self.alive

    def destroy_sim(self, arg0):
        self._check(arg0)
        if arg0.is_prepared:
            for name in ("root", "dofs", "bodies", "forces"):
                arg0.shown[name].fill(np.nan)
        arg0.is_destroyed, self.alive = True, None

    def add_ground(self, sim, params):
        self._check(sim, prepared=False)
        _need((params.normal.x, params.normal.y, params.normal.z) == (0.0, 0.0, 1.0), "a level floor")
        sim.floor = params

    def load_asset(self, sim, rootpath, filename, options=None):
        self._check(sim, prepared=False)
        return Asset(os.path.join(rootpath, filename))

    def get_asset_rigid_body_names(self, arg0):
        return list(arg0.body_names)

    def get_asset_dof_names(self, arg0):
        return list(arg0.dof_names)

    def get_asset_dof_properties(self, arg0):
        return arg0.dofs.copy()

    def create_env(self, arg0, arg1, arg2, arg3):
        self._check(arg0, prepared=False)
        _need(isinstance(arg3, int) and arg3 > 0, "environments in a row")
        arg0.envs.append(Env(arg0))
        return arg0.envs[-1]

    def create_actor(self, env, asset, pose, name=None, group=-1, filter=-1, segmentationId=0):
        _need(env.actor is None and not env.sim.is_prepared, "one actor an environment, before prepare_sim")
        _need(group == len(env.sim.envs) - 1, "a collision group of its own for each environment")
        _need(filter == 0, "this stand-in's characters collide with themselves")
        env.actor = Actor(asset, pose, len(env.sim.envs) - 1)
        return 0

    def set_actor_dof_properties(self, arg0, arg1, arg2):
        _need(arg1 == 0 and not arg0.sim.is_prepared, "properties before prepare_sim")
        _need(arg2.dtype == arg0.actor.dofs.dtype and len(arg2) == len(arg0.actor.dofs), "a row for each dof")
        arg0.actor.dofs = arg2.copy()
        return True

    def get_actor_index(self, arg0, arg1, arg2):
        _need(arg1 == 0 and arg2 == gymapi.DOMAIN_SIM, "the one actor's place in the simulation")
        return arg0.actor.index

    def prepare_sim(self, arg0):
        self._check(arg0, prepared=False)
        _need(arg0.envs and arg0.floor is not None, "prepare_sim with environments and a floor")
        actors, params = [env.actor for env in arg0.envs], arg0.params
        _need(all((actor.dofs == actors[0].dofs).all() for actor in actors), "the same drives everywhere")
        gravity = (params.gravity.x, params.gravity.y, params.gravity.z)
        pose = (actors[0].pose.p.x, actors[0].pose.p.y, actors[0].pose.p.z)
        dt, friction = params.dt / params.substeps, arg0.floor.static_friction
        model = compile_model(actors[0].asset, actors[0].dofs, pose, dt, gravity, friction)
        num_dofs = len(actors[0].dofs)
        arg0.physics = Physics(model, num_dofs)
        shapes = {"root": (13,), "dofs": (num_dofs, 2), "bodies": (model.nbody - 1, 13), "forces": (model.nbody - 1, 3)}
        # What is, and what was when it was last refreshed.
        arg0.true = {name: np.zeros((len(actors),) + shape, dtype=np.float32) for name, shape in shapes.items()}
        arg0.true["root"][:, :3], arg0.true["root"][:, 6] = pose, 1.0
        arg0.shown = {name: np.full_like(array, np.nan) for name, array in arg0.true.items()}
        arg0.target = np.zeros((len(actors), num_dofs), dtype=np.float32)
        arg0.is_prepared = True
        return True

    def acquire_actor_root_state_tensor(self, arg0):
        return self._acquire(arg0, "root")

    def acquire_dof_state_tensor(self, arg0):
        return self._acquire(arg0, "dofs")

    def acquire_rigid_body_state_tensor(self, arg0):
        return self._acquire(arg0, "bodies")

    def acquire_net_contact_force_tensor(self, arg0):
        return self._acquire(arg0, "forces")

    def refresh_actor_root_state_tensor(self, arg0):
        return self._refresh(arg0, "root")

    def refresh_dof_state_tensor(self, arg0):
        return self._refresh(arg0, "dofs")

    def refresh_rigid_body_state_tensor(self, arg0):
        return self._refresh(arg0, "bodies")

    def refresh_net_contact_force_tensor(self, arg0):
        return self._refresh(arg0, "forces")

    def set_actor_root_state_tensor_indexed(self, arg0, arg1, arg2, arg3):
        return self._set(arg0, "root", arg1, arg2, arg3)

    def set_dof_state_tensor_indexed(self, arg0, arg1, arg2, arg3):
        return self._set(arg0, "dofs", arg1, arg2, arg3)

    def set_dof_position_target_tensor(self, arg0, arg1):
        self._check(arg0, prepared=True)
        arg0.target[:] = _floats(arg1, arg0.target.shape)
        return True

    def simulate(self, arg0):
        self._check(arg0, prepared=True)
        _need(arg0.is_fetched, "fetch_results after every simulate on the CPU")
        true = arg0.true
        for i in range(len(arg0.envs)):
            row = [true[name][i] for name in ("root", "dofs")] + [arg0.target[i], true["bodies"][i], true["forces"][i]]
            arg0.physics.step(*row, arg0.params.substeps)
        arg0.is_fetched = False
        arg0.was_set.clear()

    def fetch_results(self, arg0, arg1):
        self._check(arg0, prepared=True)
        _need(arg1 is True, "wait for the results")
        arg0.is_fetched = True

    def create_viewer(self, arg0, arg1):
        self._check(arg0, prepared=True)
        _need(isinstance(arg1, gymapi.CameraProperties), "camera properties")
        self.viewers.append(Viewer())
        return self.viewers[-1]

    def destroy_viewer(self, arg0):
        _need(not arg0.is_destroyed, "a viewer is destroyed once")
        arg0.is_destroyed = True

    def subscribe_viewer_keyboard_event(self, arg0, arg1, arg2):
        arg0.actions[arg1] = arg2

    def query_viewer_has_closed(self, arg0):
        return arg0.has_closed

    def query_viewer_action_events(self, arg0):
        events, arg0.events = arg0.events, []
        return events

    def viewer_camera_look_at(self, arg0, arg1, arg2, arg3):
        _need(isinstance(arg2, gymapi.Vec3) and isinstance(arg3, gymapi.Vec3), "two places")

    def step_graphics(self, arg0):
        self._check(arg0, prepared=True)
        _need(arg0.is_fetched, "fetch_results before drawing")

    def draw_viewer(self, viewer, sim, render_collision=True):
        viewer.drawn += 1

    def poll_viewer_events(self, arg0):
        _need(not arg0.is_destroyed, "a destroyed viewer has no events")

    def sync_frame_time(self, arg0):
        self._check(arg0, prepared=True)

    def _check(self, sim, prepared=None):
        _need(sim is not None and not sim.is_destroyed, "there is no such simulation")
        _need(
            prepared is None or sim.is_prepared == prepared, "prepare_sim has to come before the tensors, last of all"
        )

    def _acquire(self, sim, name):
        self._check(sim, prepared=True)
        sim.acquired.add(name)
        array = sim.shown[name].reshape(-1, sim.shown[name].shape[-1])
        tensor = gymapi.Tensor()
        tensor.shape, tensor.data_address = array.shape, array.ctypes.data
        return tensor

    def _refresh(self, sim, name):
        self._check(sim, prepared=True)
        _need(name in sim.acquired and sim.is_fetched, "acquire and fetch_results before a refresh")
        sim.shown[name][:] = sim.true[name]
        return True

    def _set(self, sim, name, values, indices, count):
        """Take over the rows of `indices`; bodies and contact forces follow with the next step."""
        self._check(sim, prepared=True)
        _need(name not in sim.was_set, "an indexed setter once a step: a second call may undo the first")
        _need(indices.dtype == gymapi.DTYPE_UINT32 and len(indices.shape) == 1, "indices are int32")
        _need(type(count) is int and count == indices.shape[0] > 0, "as many indices as are announced")
        rows = gymapi.memory(indices)
        _need(len(set(rows.tolist())) == count and 0 <= rows.min() and rows.max() < len(sim.envs), "actors that exist")
        sim.true[name][rows] = _floats(values, sim.true[name].shape)[rows]
        sim.was_set.add(name)
        return True


def _floats(tensor, shape):
    _need(tensor.dtype == gymapi.DTYPE_FLOAT32, "float32")
    _need(int(np.prod(tensor.shape)) == int(np.prod(shape)), "a row for every actor")
    return gymapi.memory(tensor).reshape(shape)
