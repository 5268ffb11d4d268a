"""The web viewer's panel: buttons, sliders and running plots, which call a `Live`."""

from typing import Any, Dict, List, Optional

import numpy as np

from amp_train.errors import UserError
from amp_train.viewers.frames import REMEMBERED_S, Frames
from amp_train.viewers.live import KEYS, MAX_SPEED, MIN_SPEED, Checkpoints, Live

PLOT_SECONDS, PLOT_INTERVAL_FRAMES, WATCH_INTERVAL_FRAMES = 8.0, 6, 30
HALF_TURN_DEG, PLACE_REACH_M = 180.0, 20.0  # of the sliders; a click reaches further
_COLOURS = ("#1f77b4", "#d62728", "#2ca02c")


class Panel:
    """The panel next to the picture."""

    def __init__(
        self, server: Any, live: Live, frames: Frames, checkpoints: Optional[Checkpoints], watch: bool
    ) -> None:
        """Build the panel.

        Args:
            server: `viser.ViserServer`.
            live: the actions.
            frames: the plotted data.
            checkpoints: the policies to choose from, if any.
            watch: whether each new checkpoint is loaded automatically.
        """
        self._gui, self._live, self._frames, self._checkpoints = server.gui, live, frames, checkpoints
        self.preview_s: Optional[float] = None
        self._looks_back = False
        self._status = self._gui.add_markdown("")
        self._plots: List[Any] = []
        self._sliders: Dict[str, Any] = {}
        self._add_playback()
        self._add_clip()
        self._add_push()
        if live.goals.controls:
            self._add_goals()
        if checkpoints is not None:
            self._add_policy(watch)
        self._add_plots()
        self._add_keys()

    # ---- Parts

    def _add_playback(self) -> None:
        gui, live = self._gui, self._live
        with gui.add_folder("Playback"):
            self._play = gui.add_button("Pause")
            self._play.on_click(lambda _: live.press("space"))
            gui.add_button("Step").on_click(lambda _: live.press("N"))
            gui.add_button("Restart").on_click(lambda _: live.press("R"))
            speed = gui.add_slider("Speed", min=MIN_SPEED, max=MAX_SPEED, step=0.05, initial_value=1.0)
            speed.on_update(lambda _: setattr(live, "speed", float(speed.value)))
            self.look_back = gui.add_slider("Look back (s)", -REMEMBERED_S, 0.0, step=1.0 / 30, initial_value=0.0)
            self.look_back.on_update(lambda event: self._look_back(event))
            self._ghosts = gui.add_checkbox("Ghost of the clip", live.ghosts)
            self._ghosts.on_update(lambda _: setattr(live, "ghosts", bool(self._ghosts.value)))
            self._follow = gui.add_checkbox("Follow", live.follow)
            self._follow.on_update(lambda _: setattr(live, "follow", bool(self._follow.value)))

    def _look_back(self, event: Any) -> None:
        if event.client is not None:
            self._live.paused = self._looks_back = True

    def _add_clip(self) -> None:
        gui, library = self._gui, self._live.env.motion_library
        with gui.add_folder("Clip"):
            self._clip = gui.add_dropdown("Clip", tuple(library.clip_names))
            self._phase = gui.add_slider("Phase (%)", min=0.0, max=100.0, step=0.5, initial_value=0.0)
            self._phase.on_update(lambda _: self._preview())
            self._clip.on_update(lambda _: self._preview())
            gui.add_button("Start here").on_click(lambda _: self._start_here())

    @property
    def clip(self) -> int:
        """The chosen clip."""
        return list(self._live.env.motion_library.clip_names).index(self._clip.value)

    def _clip_time_s(self) -> float:
        return float(self._phase.value) / 100.0 * float(self._live.env.motion_library.durations_s[self.clip])

    def _preview(self) -> None:
        """Pause, and show the ghost at the phase that is pointed at."""
        self._live.paused, self.preview_s = True, self._clip_time_s()

    def _start_here(self) -> None:
        self._live.restart(self.clip, self._clip_time_s())
        self._live.paused, self.preview_s = False, None

    def _add_push(self) -> None:
        gui = self._gui
        with gui.add_folder("Push"):
            strength = gui.add_slider("Change of velocity (m/s)", min=0.1, max=5.0, step=0.1, initial_value=1.0)
            gui.add_button("Push").on_click(lambda _: self._live.push_somewhere(float(strength.value)))
            gui.add_markdown("Or drag a limb: the character is pushed where it is pulled.")

    def _add_goals(self) -> None:
        gui, goals = self._gui, self._live.goals
        with gui.add_folder("Goal"):
            for name, (low, high) in goals.controls.items():
                reach = HALF_TURN_DEG if name.endswith("_deg") else PLACE_REACH_M
                low, high = max(low, -reach), min(high, reach)
                step = min(goals.step_of(name), (high - low) / 100.0)
                slider = gui.add_slider(name, min=low, max=high, step=step, initial_value=0.5 * (low + high))
                slider.on_update(lambda event, name=name: self._steer(event, name))
                self._sliders[name] = slider

    def _steer(self, event: Any, name: str) -> None:
        if event.client is not None:  # else we moved it ourselves
            self._live.steer(**{name: float(event.target.value)})

    def _add_policy(self, watch: bool) -> None:
        gui, checkpoints = self._gui, self._checkpoints
        assert checkpoints is not None
        with gui.add_folder("Policy"):
            self._chosen = gui.add_dropdown("Checkpoint", tuple(checkpoints.names()), initial_value=checkpoints.current)
            self._chosen.on_update(lambda event: self._choose(event))
            self._watch = gui.add_checkbox("Load each new one", watch)
            self._policy_status = gui.add_markdown("")

    def _choose(self, event: Any) -> None:
        name = str(self._chosen.value)
        if event.client is not None:
            self._watch.value = False
            self._live.ask(lambda: self._load(name))

    def _add_plots(self) -> None:
        import viser.uplot as uplot

        feet = [(f"contact_{k}", name) for k, name in enumerate(self._frames.foot_names())]
        charts = [
            [("style_reward", "style reward")],
            [("task_reward", "task reward")] if self._live.goals.controls else [],
            [("disc_logit", "discriminator logit")],
            [("pose_error_m", "pose error to the clip (m)")],
            feet,
        ]
        with self._gui.add_folder("Curves of the first character"):
            for chart in filter(None, charts):
                series = [uplot.Series(label="s")]
                series += [
                    uplot.Series(label=label, stroke=_COLOURS[k], width=1.5) for k, (_, label) in enumerate(chart)
                ]
                data = tuple(np.zeros(2) for _ in series)
                handle = self._gui.add_uplot(data, tuple(series), aspect=2.6)
                self._plots.append(([name for name, _ in chart], handle))

    def _add_keys(self) -> None:
        for key, meaning in KEYS.items():
            command = self._gui.add_command(meaning.capitalize(), hotkey=key)
            command.on_trigger(lambda _, key=key: self._live.press(key))

    # ---- Updates

    def update(self, index: int, status: str) -> None:
        """Update after a step."""
        self.preview_s = None if not self._live.paused else self.preview_s
        if self._looks_back and not self._live.paused:
            self.look_back.value, self._looks_back = 0.0, False
        if index % PLOT_INTERVAL_FRAMES == 0:
            self._status.content = status
            self.update_plots()
            self.update_buttons()
        if index % WATCH_INTERVAL_FRAMES == 0:
            self._watch_checkpoints()

    def update_buttons(self) -> None:
        """Show changes made by keys."""
        label = "Play" if self._live.paused else "Pause"
        if self._play.label != label:
            self._play.label = label
        for box, value in ((self._ghosts, self._live.ghosts), (self._follow, self._live.follow)):
            if box.value != value:
                box.value = value
        for name, slider in self._sliders.items():
            value = min(max(self._live.goals.values[name], slider.min), slider.max)
            if abs(slider.value - value) > 1e-6:
                slider.value = value

    def update_plots(self) -> None:
        """Draw the last seconds."""
        time_s = self._frames.series("time_s", PLOT_SECONDS)
        if len(time_s) < 2:
            return
        for names, handle in self._plots:
            series = [self._frames.series(name, PLOT_SECONDS) for name in names]
            # Contacts of several feet are stacked.
            shown = [1.2 * k + y if name.startswith("contact") else y for k, (name, y) in enumerate(zip(names, series))]
            handle.data = (time_s, *shown)

    def _watch_checkpoints(self) -> None:
        if self._checkpoints is None:
            return
        said = self._checkpoints.follow() if self._watch.value else None
        names = list(self._checkpoints.names())
        if names != list(self._chosen.options):
            self._chosen.options = tuple(names)
        self._tell(said)

    def _load(self, name: str) -> None:
        assert self._checkpoints is not None
        try:
            self._checkpoints.load(name)
            self._tell(f"Acting: {name}")
        except (UserError, OSError) as error:  # it may just have been removed
            self._tell(f"{name}: {error}")

    def _tell(self, said: Optional[str]) -> None:
        assert self._checkpoints is not None
        if said is not None:
            self._policy_status.content = said
        if self._chosen.value != self._checkpoints.current:
            self._chosen.value = self._checkpoints.current
