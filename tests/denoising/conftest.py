"""Real ONNX models, made on the spot."""

import hashlib
import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from snrstream.gadgets import denoise

from .frame_model import FrameMean

MANIFEST = {
    "name": "tiny", "version": "0.1", "file": "model.onnx", "format": "onnx", "sha256": "",
    "input": "complex_gmap", "layout": "B,3,T,H,W", "frames": "none", "divisor": 4, "scale": "snr_units",
    "default_alpha": 0.25, "noise_reduction": 0.5, "training": {}, "licence": "MIT",
}  # fmt: skip
PARSED = {**MANIFEST, "frames": ()}  # as `Manifest` has it


def halving_model(factor: float = 0.5, in_channels: int = 3) -> onnx.ModelProto:
    """Real and imaginary part times `factor`; H and W must be multiples of 4, as the graph folds them."""
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["parts"]),
        helper.make_node("Mul", ["parts", "factor"], ["scaled"]),
        # H, W -> H / 4, 4, W / 4, 4 and back fails for any other size, as a U-Net would
        helper.make_node("Shape", ["scaled"], ["shape"]),
        helper.make_node("Reshape", ["scaled", "folded"], ["grouped"]),
        helper.make_node("Reshape", ["grouped", "shape"], ["y"]),
    ]
    constants = [
        helper.make_tensor("from", TensorProto.INT64, [1], [0]),
        helper.make_tensor("to", TensorProto.INT64, [1], [2]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("factor", TensorProto.FLOAT, [1], [factor]),
        helper.make_tensor("folded", TensorProto.INT64, [2], [-1, 16]),
    ]
    shape_in = ["B", in_channels, "T", "H", "W"]
    graph = helper.make_graph(
        nodes,
        "halving",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 2, "T", "H", "W"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def warnings_of(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


@pytest.fixture
def install(tmp_path: Path, monkeypatch):
    """A function that puts a model and its manifest into a fresh `models/` folder that the runtime sees."""
    monkeypatch.setattr("snrstream.denoising.manifest.folders", lambda kind: [tmp_path])

    def put(model: onnx.ModelProto | bytes | None = None, name: str = "tiny", drop: str = "", **changes) -> Path:
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        if model is None:
            model = halving_model()
        data = model if isinstance(model, bytes) else model.SerializeToString()
        (place / "model.onnx").write_bytes(data)
        manifest = {**MANIFEST, "name": name, "sha256": hashlib.sha256(data).hexdigest(), **changes}
        manifest.pop(drop, None)
        (place / "manifest.json").write_text(json.dumps(manifest))
        return place

    return put


@pytest.fixture
def use(monkeypatch):
    """A function that has the gadget load a model object."""

    def put(model: FrameMean) -> FrameMean:
        monkeypatch.setattr(denoise, "load_model", lambda name, timeout_s, backend: model)
        return model

    return put
