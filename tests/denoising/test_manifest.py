"""Manifests: their defaults, and one clear line for each mistake."""

import json
from pathlib import Path

import pytest

from snrstream.denoising.manifest import load_manifest, named_manifest
from snrstream.errors import ModelError
from snrstream.system.resources import folder

from .. import shipped

PATCH = {"frames": "time", "patch": [16, 64, 64], "overlap": [8, 16, 16]}
SLICES = {"input": "magnitude_slices", "layout": "B,S,H,W", "frames": "slice", "n_frames": 7}
STREAMS = {"frames": ["time", "slice"], "past": [[8, 4], [4, 2]], "window": 8}

WRONG = [
    ({"patch": [16, 4096, 4096], "overlap": [8, 16, 16], "frames": "time"}, "expected at most 16777216 pixels in all"),
    ({"version": "1" * 201}, "version has 201 characters; expected at most 200"),
    ({"k" * 1000: 1}, "manifest.json has unknown " + "k" * 100),
    ({"patch": [1, 64, 64]}, "only one of patch and overlap is given; expected both or none"),
    ({**PATCH, "overlap": [8, 64, 16]}, "overlap is [8, 64, 16]; expected 0 or more, below patch [16, 64, 64]"),
    ({**PATCH, "overlap": [16, 16, 16]}, "expected 0 or more, below patch"),
    ({**PATCH, "overlap": [8, -1, 16]}, "expected 0 or more, below patch"),
    ({**PATCH, "overlap": [8, 62, 16]}, "expected H, W at least the divisor 4 below patch"),
    ({**PATCH, "divisor": 24}, "patch is [16, 64, 64]; expected H, W in multiples of 24"),
    ({**PATCH, "frames": "none"}, "n_frames is 16 where frames is 'none'; expected 0 or 1"),
    ({**PATCH, "n_frames": 8}, "T of patch is 16; expected 8, as frames and n_frames say"),
    ({**PATCH, "patch": [16, 64]}, "patch in manifest.json is [16, 64]; expected a list of 3 numbers"),
    ({**PATCH, "patch": [16, 64.0, 64]}, "patch in manifest.json is 64.0; expected int"),
    ({**PATCH, "patch": "large"}, "patch in manifest.json is 'large'; expected a list of 3 numbers"),
    ({**PATCH, "patch": [16, 64, 10**9]}, "expected 1 to 4096"),
    ({**PATCH, "receptive_field": [1, 17, 1]}, "overlap is [8, 16, 16]; expected the receptive_field [1, 17, 1] or"),
    ({"receptive_field": [0, -1, 0]}, "receptive_field is [0, -1, 0]; expected 0, unknown, or more"),
    ({"n_frames": 7}, "n_frames is 7 where frames is 'none'; expected 0 or 1"),
    ({"frames": "time", "n_frames": 10**6}, "expected 0, any, to 1024"),
    ({"n_frames": True}, "n_frames in manifest.json is True; expected int"),
    ({"frames": "phase"}, "frames is 'phase'; supported: none, time, slice, depth"),
    ({"frames": ["time", "phase"]}, "frames is 'phase'; supported: none, time, slice, depth"),
    (
        {"frames": ["time", "none"]},
        "frames is ['time', 'none']; expected none, or some of time, slice, depth, each once",
    ),
    ({"frames": ["time", "time"]}, "frames is ['time', 'time']; expected none, or some of"),
    ({"frames": []}, "frames is []; expected none, or some of"),
    ({"frames": 5}, "frames in manifest.json is 5; expected a list of"),
    ({"frames": ["time", 5]}, "frames in manifest.json is 5; expected str"),
    ({"frames": ["slice", "depth"], "layout": "B,3,S,H,W"}, "layout is 'B,3,S,H,W'; expected B,3,T,H,W"),
    ({**STREAMS, "window": 0}, "past is given without window; expected both or none"),
    ({"frames": "time", "window": 8}, "window is 8 without past; expected both or none"),
    ({**STREAMS, "window": 1}, "window is 1; expected 2 to 1024"),
    ({**STREAMS, "window": 10**6}, "window is 1000000; expected 2 to 1024"),
    ({**STREAMS, "window": 8.5}, "window in manifest.json is 8.5; expected int"),
    ({**STREAMS, "frames": "none"}, "past is given where frames is 'none'; expected some of time, slice, depth"),
    ({**STREAMS, "n_frames": 8}, "past is given beside n_frames 8; expected a network for any number of frames"),
    ({**STREAMS, **PATCH}, "past is given beside patch; expected a network for any number of frames, of any size"),
    ({**STREAMS, **SLICES}, "past is given for magnitude_slices; expected an input with a g-map"),
    ({**STREAMS, "past": [[0, 4]]}, "channels of past is 0; expected 1 to 65536"),
    ({**STREAMS, "past": [[8, 3]]}, "divisor of past is 3; expected one of the model's divisor, 4"),
    ({**STREAMS, "past": [[8, 0]]}, "divisor of past is 0; expected one of"),
    ({**STREAMS, "past": [[8]]}, "past in manifest.json is [8]; expected a list of 2 numbers"),
    ({**STREAMS, "past": 8}, "past in manifest.json is 8; expected a list"),
    ({**STREAMS, "past": [[8, 4]] * 2000}, "expected a list of at most 1000"),
    ({"input": "magnitude_gmap"}, "layout is 'B,3,T,H,W'; expected B,2,T,H,W"),
    ({"layout": "B,3,S,H,W"}, "layout is 'B,3,S,H,W'; expected B,3,T,H,W"),
    ({"frames": "slice", "layout": "B,T,3,H,W"}, "expected B,3,T,H,W or B,3,S,H,W"),
    ({**SLICES, "n_frames": 6}, "n_frames of magnitude_slices is 6; expected 3, 5, 7"),
    ({**SLICES, "frames": "none", "layout": "B,T,H,W"}, "frames is 'none' for magnitude_slices; expected time, slice"),
    ({**SLICES, "patch": [7, 64, 64], "overlap": [0, 8, 8]}, "T of patch is 7; expected 1"),
    ({"scale": "normalised_magnitude"}, "scale of complex_gmap is normalised_magnitude; expected snr_units"),
    ({"snr_range": [5, 2]}, "snr_range is 5 to 2; expected two numbers above 0, the lower one first"),
    ({"gfactor_range": [0, 2]}, "gfactor_range is 0 to 2; expected two numbers above 0"),
    ({"snr_range": [1]}, "snr_range in manifest.json is [1]; expected a list of 2 numbers"),
    ({"snr_range": [1, float("inf")]}, "snr_range in manifest.json is inf; expected a finite number"),
    ({"noise_reduction": float("nan")}, "noise_reduction in manifest.json is nan; expected a finite number"),
    ({"noise_reduction": -1}, "noise_reduction is -1; expected 0 or more"),
    ({"default_alpha": 10**400}, "default_alpha in manifest.json is 1000"),
    ({"tensorrt": 1}, "tensorrt in manifest.json is 1; expected bool"),
    ({"tensorrt": True, "format": "torchscript"}, "tensorrt is for torchscript; expected onnx"),
    ({"training": []}, "training in manifest.json is []; expected dict"),
    ({"test_vector": {"file": "a.npz"}}, "test_vector in manifest.json lacks sha256, tolerance"),
    ({"test_vector": {"file": "a", "sha256": "b", "tolerance": 0}}, "tolerance of test_vector is 0; expected a number"),
    ({"test_vector": "a.npz"}, "test_vector in manifest.json holds a str; expected an object"),
    ({"sha256": None}, "sha256 in manifest.json is None; expected str"),
]


@pytest.mark.parametrize(("changes", "text"), WRONG, ids=[text for _, text in WRONG])
def test_a_mistake_is_told_in_one_line(install, changes, text) -> None:
    install(**changes)
    with pytest.raises(ModelError) as caught:
        load_manifest("tiny")
    told = str(caught.value)
    assert told.startswith("model tiny: ") and text in told and "\n" not in told and len(told) < 300


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"n_frames": 0, "patch": None, "overlap": None, "receptive_field": (0, 0, 0), "snr_range": None,
              "gfactor_range": None, "test_vector": None, "tensorrt": False}),
        (PATCH, {"n_frames": 16, "patch": (16, 64, 64), "overlap": (8, 16, 16)}),
        ({**PATCH, "frames": "depth", "layout": "B,3,D,H,W", "receptive_field": [8, 9, 9]}, {"n_frames": 16}),
        ({"patch": [1, 64, 64], "overlap": [0, 16, 16], "receptive_field": [1, 9, 9]}, {"n_frames": 1}),
        (SLICES, {"n_frames": 7}),
        ({**SLICES, "scale": "normalised_magnitude", "patch": [1, 64, 64], "overlap": [0, 8, 8]}, {"n_frames": 7}),
        ({"input": "magnitude_gmap", "layout": "B,2,T,H,W", "frames": "time"}, {"n_frames": 0}),
        ({}, {"frames": (), "past": (), "window": 0}),
        ({"frames": "time"}, {"frames": ("time",)}),
        ({"frames": ["depth"], "layout": "B,3,D,H,W"}, {"frames": ("depth",)}),
        (STREAMS, {"frames": ("time", "slice"), "past": ((8, 4), (4, 2)), "window": 8, "n_frames": 0}),
        ({"test_vector": None, "patch": None, "overlap": None}, {"test_vector": None}),
    ],
)  # fmt: skip
def test_what_a_model_does_not_need_has_a_default(install, changes, expected) -> None:
    install(**changes)
    manifest, _ = load_manifest("tiny")
    assert {key: getattr(manifest, key) for key in expected} == expected


def test_every_key_of_a_shipped_manifest_is_understood() -> None:
    for path in (folder("models") / name / "manifest.json" for name in shipped.MODELS):
        manifest, file = load_manifest(path.parent.name)
        assert manifest.name == path.parent.name and file.parent == path.parent
        in_snr_units = manifest.scale == "snr_units"
        assert bool(manifest.snr_range) == bool(manifest.gfactor_range) == in_snr_units and manifest.test_vector
        assert "test_vector" in json.loads(path.read_text())


def test_a_copied_manifest_does_not_pass_for_the_model_that_it_was_of(install) -> None:
    place = install()
    manifest = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps({**manifest, "name": "other"}))
    with pytest.raises(ModelError, match="model tiny: name in manifest.json is 'other'; expected that of its folder"):
        load_manifest("tiny")


def test_the_manifest_of_the_manual_is_one(install) -> None:
    place = install()
    page = (Path(__file__).parents[2] / "docs/models.md").read_text()
    text = page[page.index('{"name": "NAME"') :].split("\n\n")[0]
    manifest = json.loads(text.replace("NAME", "tiny").replace("model.pt", "model.onnx"))
    (place / "manifest.json").write_text(json.dumps(manifest))
    assert named_manifest("tiny")[0].patch == (16, 64, 64)
