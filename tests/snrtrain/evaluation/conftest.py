"""Tiny volumes under the names of test volumes, and real model folders."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import onnx
import pytest

from tests.denoising.conftest import MANIFEST, halving_model


@pytest.fixture
def volume_folder(tmp_path: Path) -> Path:
    """`a_t2`, 4 slices of 4 mm, and `ge_irspgr_1p5`, 8 of 1.2 mm: a disc, three tissues and air."""
    y, x = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 60), indexing="ij")
    plane = 60.0 * (x**2 + y**2 < 0.7) + 40.0 * (x**2 + y**2 < 0.3) + 80.0 * ((x - 0.2) ** 2 + y**2 < 0.03)
    for name, n_slices, edge in (("a_t2", 4, 4.0), ("ge_irspgr_1p5", 8, 1.2)):
        data = np.repeat(plane[:, :, None], n_slices, axis=2).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(data, np.diag([1.0, 1.0, edge, 1.0])), tmp_path / f"{name}.nii.gz")
    return tmp_path


@pytest.fixture
def model_folder(tmp_path: Path) -> Callable[..., str]:
    """A function that writes a model that multiplies by `factor`, or the one given, and gives its folder."""

    def put(name: str = "same", factor: float = 1.0, model: onnx.ModelProto | None = None, **changes: object) -> str:
        place = tmp_path / name
        place.mkdir()
        data = (model or halving_model(factor)).SerializeToString()
        (place / "model.onnx").write_bytes(data)
        facts = {**MANIFEST, "name": name, "sha256": hashlib.sha256(data).hexdigest(), **changes}
        (place / "manifest.json").write_text(json.dumps(facts))
        return str(place)

    return put


@pytest.fixture
def outputs(tmp_path: Path) -> list[str]:
    """Options that put table, rows and picture into `tmp_path/out`."""
    return [
        part for kind, ending in (("markdown", "md"), ("csv", "csv"), ("picture", "png"))
        for part in (f"--{kind}", str(tmp_path / f"out/table.{ending}"))
    ]  # fmt: skip


def constant_model(image: np.ndarray) -> onnx.ModelProto:
    """Answers with `image` `(H, W)` complex64, whatever it is given."""
    helper, integers = onnx.helper, onnx.TensorProto.INT64
    answer = np.stack([image.real, image.imag]).astype(np.float32)
    numbers = (("from", 0), ("to", 2), ("axis", 1))
    constants = [helper.make_tensor(name, integers, [1], [value]) for name, value in numbers]
    constants.append(helper.make_tensor("answer", onnx.TensorProto.FLOAT, answer.shape, answer.ravel()))
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["parts"]),
        helper.make_node("Shape", ["parts"], ["shape"]),
        helper.make_node("Reshape", ["answer", "shape"], ["y"]),
    ]
    return _model(nodes, constants, ["B", 3, "T", "H", "W"], ["B", 2, "T", "H", "W"])


def centre_model(factor: float) -> onnx.ModelProto:
    """`magnitude_slices`: of three slices the middle one, times `factor`."""
    helper = onnx.helper
    numbers = (("from", 1), ("to", 2), ("axis", 1))
    constants = [helper.make_tensor(name, onnx.TensorProto.INT64, [1], [value]) for name, value in numbers]
    constants += [helper.make_tensor("factor", onnx.TensorProto.FLOAT, [1], [factor])]
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["middle"]),
        helper.make_node("Mul", ["middle", "factor"], ["y"]),
    ]
    return _model(nodes, constants, ["B", 3, "H", "W"], ["B", 1, "H", "W"])


def model_that_averages() -> onnx.ModelProto:
    """`magnitude_slices`: the mean of three slices."""
    axes = onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1])
    nodes = [onnx.helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=1)]
    shapes = ["B", 3, "H", "W"], ["B", 1, "H", "W"]
    value = onnx.helper.make_tensor_value_info
    x, y = (value(n, onnx.TensorProto.FLOAT, shape) for n, shape in zip("xy", shapes, strict=True))
    graph = onnx.helper.make_graph(nodes, "test", [x], [y], [axes])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)


SLICES = {
    "input": "magnitude_slices", "layout": "B,T,H,W", "frames": "slice", "n_frames": 3, "scale": "normalised_magnitude",
}  # fmt: skip


def _model(nodes: list, constants: list, given: list, answered: list) -> onnx.ModelProto:
    value = onnx.helper.make_tensor_value_info
    x, y = value("x", onnx.TensorProto.FLOAT, given), value("y", onnx.TensorProto.FLOAT, answered)
    graph = onnx.helper.make_graph(nodes, "test", [x], [y], constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
