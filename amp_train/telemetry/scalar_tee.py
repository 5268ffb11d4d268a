"""A tensorboard writer that also hands its scalars on."""

import contextlib
from typing import Any, Dict, Optional

from amp_train.telemetry.sinks import ScalarSink

# rl_games writes rewards and lengths three times, over frames, epochs and seconds; the first is enough elsewhere.
OTHER_AXES = ("/iter", "/time")


class ScalarTee:
    """Stands in for a SummaryWriter; the scalars of one step reach the sink together."""

    def __init__(self, writer: Any, sink: ScalarSink) -> None:
        self._writer, self._sink = writer, sink
        self._scalars: Dict[str, float] = {}
        self._step: Optional[int] = None

    def add_scalar(self, tag: str, value: Any, global_step: Any = None, *args: Any, **kwargs: Any) -> None:
        """Write a scalar to tensorboard and remember it for the sink."""
        self._writer.add_scalar(tag, value, global_step, *args, **kwargs)
        if global_step is None or tag.endswith(OTHER_AXES):
            return
        if global_step != self._step:
            self._hand_on()
            self._step = int(global_step)
        with contextlib.suppress(TypeError, ValueError):  # what is no single number stays in tensorboard only
            self._scalars[tag] = float(value)

    def flush(self) -> None:
        """Hand on what is left and have tensorboard's on disk."""
        self._hand_on()
        self._writer.flush()

    def close(self) -> None:
        """Hand on what is left and close the writer."""
        self._hand_on()
        self._writer.close()

    def _hand_on(self) -> None:
        if self._scalars and self._step is not None:
            self._sink.log(self._scalars, self._step)
        self._scalars = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)
