"""Real ONNX models that do harm: they hang, cannot be interrupted, or want petabytes."""

import onnx
from onnx import TensorProto, helper


def _model(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> onnx.ModelProto:
    """Of `nodes`, which find the real and imaginary parts of the input `x` as `parts`."""
    graph = helper.make_graph(
        [helper.make_node("Slice", ["x", "from", "to", "axis"], ["parts"]), *nodes],
        "broken",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 3, "T", "H", "W"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 2, "T", "H", "W"])],
        [_integers("from", 0), _integers("to", 2), _integers("axis", 1), *constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _integers(name: str, *values: int) -> onnx.TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def hanging_model() -> onnx.ModelProto:
    """A loop of 2^62 small steps: it can be interrupted between them."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go_on"]), helper.make_node("Cos", ["value"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("value", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    constants = [
        helper.make_tensor("steps", TensorProto.INT64, [], [2**62]),
        helper.make_tensor("true", TensorProto.BOOL, [], [True]),
    ]
    return _model([helper.make_node("Loop", ["steps", "true", "parts"], ["y"], body=body)], constants)


def hungry_model() -> onnx.ModelProto:
    """A tensor of 2^40 times the input's pixels, more than any address space holds."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Mul", ["shape", "times"], ["huge"]),
        helper.make_node("ConstantOfShape", ["huge"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["largest"], keepdims=0),
        helper.make_node("Add", ["parts", "largest"], ["y"]),
    ]
    return _model(nodes, [_integers("times", 1 << 20, 1, 1, 1, 1 << 20)])


def stubborn_model() -> onnx.ModelProto:
    """The overlaps of 300,000 boxes with each other: a minute in one step, which nothing interrupts."""
    n = 300_000
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("ReduceMin", ["shape"], ["one"], keepdims=0),  # or all would be computed at loading
        helper.make_node("Mul", ["boxes_size", "one"], ["boxes_size_now"]),
        helper.make_node("Mul", ["scores_size", "one"], ["scores_size_now"]),
        helper.make_node("ConstantOfShape", ["boxes_size_now"], ["boxes"]),
        helper.make_node("ConstantOfShape", ["scores_size_now"], ["scores"]),
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "all"], ["apart"]),
        helper.make_node("ReduceMax", ["apart"], ["last"], keepdims=0),
        helper.make_node("Cast", ["last"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["parts", "real"], ["y"]),
    ]
    return _model(nodes, [_integers("boxes_size", 1, n, 4), _integers("scores_size", 1, 1, n), _integers("all", n)])


def slowly_loading_model(size: int = 4000) -> onnx.ModelProto:
    """The product of two large matrices of integers, half a minute at 4000, which ONNX Runtime computes on loading."""
    one = helper.make_tensor("value", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["ones"], value=one),
        helper.make_node("MatMul", ["ones", "ones"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["parts", "real"], ["y"]),
    ]
    return _model(nodes, [_integers("size", size, size)])
