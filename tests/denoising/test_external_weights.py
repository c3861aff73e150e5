"""Weights outside the model file, which its hash does not cover, are refused wherever they lie."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from snrstream.denoising.loaded import load_model
from snrstream.errors import ModelError


@pytest.mark.parametrize("here", [True, False])
def test_weights_in_a_further_file_are_refused(install, tmp_path, monkeypatch, here) -> None:
    factor = numpy_helper.from_array(np.full((1, 2, 1, 1, 1), 0.5, np.float32), "factor")
    nodes = [
        helper.make_node("Slice", ["x", "from", "to", "axis"], ["parts"]),
        helper.make_node("Mul", ["parts", "factor"], ["y"]),
    ]
    numbers = {"from": 0, "to": 2, "axis": 1}
    constants = [helper.make_tensor(name, TensorProto.INT64, [1], [number]) for name, number in numbers.items()]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", n, "T", "H", "W"])
        for name, n in (("x", 3), ("y", 2))
    ]
    graph = helper.make_graph(nodes, "halving", ends[:1], ends[1:], [factor, *constants])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "m.onnx"), save_as_external_data=True, location="m.data", size_threshold=0)
    install((tmp_path / "m.onnx").read_bytes())
    monkeypatch.chdir(tmp_path if here else "/")  # ONNX Runtime by itself seeks it in the working directory
    with pytest.raises(ModelError, match="model.onnx keeps weights in another file, which its hash does not cover"):
        load_model("tiny")
    install(onnx.load(str(tmp_path / "m.onnx")))
    assert load_model("tiny").denoise(np.ones((1, 8, 8), np.complex64), np.ones((1, 8, 8), np.float32))[0, 0, 0] == 0.5
