"""Run an exported policy in plain MuJoCo, without amp_train: python scripts/run_onnx_policy.py policy.onnx [--view]

Needs mujoco, numpy and onnxruntime. `amp-play checkpoint=... export=policy.onnx` writes the file."""

import argparse
import json
import time

import mujoco
import mujoco.viewer
import numpy as np
import onnxruntime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("policy")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--view", action="store_true")
    args = parser.parse_args()

    session = onnxruntime.InferenceSession(args.policy, providers=["CPUExecutionProvider"])
    info = session.get_modelmeta().custom_metadata_map
    model = mujoco.MjModel.from_xml_string(info["mjcf"])  # PD gains, torque limits and physics step are in it
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = json.loads(info["initial_qpos"]), json.loads(info["initial_qvel"])
    viewer = mujoco.viewer.launch_passive(model, data) if args.view else None
    start = data.qpos[:2].copy()
    for _ in range(round(args.seconds * json.loads(info["control_hz"]))):
        state = {"qpos": data.qpos[None].astype(np.float32), "qvel": data.qvel[None].astype(np.float32)}
        data.ctrl[:] = session.run(None, state)[0][0]
        mujoco.mj_step(model, data, json.loads(info["decimation"]))
        if viewer is not None:
            viewer.sync()
            time.sleep(1.0 / json.loads(info["control_hz"]))
    distance = np.linalg.norm(data.qpos[:2] - start)
    print(f"{data.time:.2f} s, {distance:.2f} m, pelvis at {data.qpos[2]:.2f} m")


if __name__ == "__main__":
    main()
