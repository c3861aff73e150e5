"""Models whose answer depends on the frames beside each frame."""

from types import SimpleNamespace

import numpy as np
import onnx
from onnx import TensorProto, helper


class FrameMean:
    """The mean of the frames it is given, in each of them: a real model, with what the gadget asks of one.

    given: the number of frames at each call. failures: what the calls raise, one after the other, None for an answer.
    """

    backend, device = "numpy", "CPU"

    def __init__(self, frames="time", n_frames=3, default_alpha=0.0, fallbacks=(), failures=()) -> None:
        self.manifest = SimpleNamespace(
            input="magnitude_gmap",
            name="mean",
            version="1",
            sha256="5" * 64,
            frames=() if frames == "none" else tuple(frames.split(", ")),
            n_frames=n_frames,
            past=(),
            window=0,
            default_alpha=default_alpha,
        )
        self.fallbacks, self._failures = tuple(fallbacks), iter(failures)
        self.given: list[int] = []

    def denoise(
        self, image: np.ndarray, gmap: np.ndarray, timeout_s: float = 30.0, causal: bool = False,  # noqa: ARG002 as a model's
    ) -> np.ndarray:  # fmt: skip
        assert image.dtype == np.complex64 and gmap.dtype == np.float32 and image.shape == gmap.shape
        self.given.append(len(image))
        failure = next(self._failures, None)
        if failure is not None:
            raise failure
        return np.broadcast_to(image.mean(axis=0, dtype=np.complex64), image.shape).copy()


def frame_mean_model() -> onnx.ModelProto:
    """The same as ONNX, B,3,T,H,W."""
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["parts"]),
        helper.make_node("ReduceMean", ["parts"], ["mean"], axes=[2], keepdims=1),
        helper.make_node("Shape", ["parts"], ["shape"]),
        helper.make_node("Expand", ["mean", "shape"], ["y"]),
    ]
    numbers = {"from": 0, "to": 2, "axis": 1}
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 3, "T", "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 2, "T", "H", "W"])],
        [helper.make_tensor(name, TensorProto.INT64, [1], [number]) for name, number in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model
