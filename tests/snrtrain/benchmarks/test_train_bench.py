"""bench.py train on tiny networks: its rows are there and hang together."""

import pytest
import torch

from snrstream.errors import ConfigurationError
from snrtrain import recipe
from snrtrain.benchmarks import train
from snrtrain.commands import bench
from snrtrain.run.descent import Descent
from snrtrain.run.processes import Processes
from tests.snrtrain.training_runs import SMOKE, SN2N

SMALL = ("train", "--device", "cpu", "--recipe", str(SMOKE), "--steps", "1", "n_validation=1")


def told(capsys) -> dict[str, float]:
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("smoke on cpu, 4 patches a step of 32 pixels an edge, float32, ")
    return {line.rsplit("  ", 1)[0].split("  ")[0]: float(line.split("  limit")[0].split()[-1]) for line in lines[1:]}


def test_rates_follow_from_the_time_of_a_step(capsys):
    assert bench.main([*SMALL]) == 0
    rows = told(capsys)
    step = rows["milliseconds a step"] / 1000
    assert rows["patches a second"] == pytest.approx(4 / step, rel=0.02)
    waiting, ratio = rows["share of the step spent waiting for data"], rows["ratio to a step whose batch is there"]
    assert waiting == pytest.approx(max(0, 1 - 1 / ratio), abs=0.02)


def test_operations_are_those_of_the_convolutions():
    """Of a network without cells: enter, halve, double and leave, counted by hand."""
    settings = recipe.load(SMOKE, ["widths=8,8", "depths=0,0", "cells=conv,conv", "n_validation=1"])
    method, descent = train.invented(settings), Descent(settings, Processes(0, 1, torch.device("cpu")))
    descent.begin()
    pixels, inside = 16 * 16, 8 * 8
    layers = [(pixels, 20 * 9, 8), (inside, 8 * 4, 8), (inside, 8, 32), (pixels, 8 * 9, 8)]
    forward = sum(2 * n * n_in * n_out for n, n_in, n_out in layers)
    backward = 2 * forward - 2 * pixels * 20 * 9 * 8  # the input wants no gradient
    assert train.flop(descent, method, method.batch(3, torch.Generator())) == 3 * (forward + backward)


def test_mistakes_are_told():
    with pytest.raises(ConfigurationError, match=r"--steps is 0; expected 1 or more"):
        bench.main([*SMALL[:-2], "0"])
    with pytest.raises(ConfigurationError, match=r"sn2n_unet25d.toml is of sn2n; expected an --archive for it"):
        bench.main(["train", "--recipe", str(SN2N)])
    with pytest.raises(ConfigurationError, match=r"wire takes no settings; got batch=3"):
        bench.main(["wire", "batch=3"])
