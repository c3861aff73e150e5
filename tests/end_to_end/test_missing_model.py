"""A pipeline that names a model which is not there: every image comes, marked, through the server and into files."""

from pathlib import Path

import ismrmrd
import numpy as np
import pydicom
import pytest

from snrstream.cli.main import main
from snrstream.hosts.client import send_scan
from snrstream.system.resources import folder
from snrstream.wire.scan_file import ScanFile

KNOWN = ", ".join(sorted(path.name for path in folder("models").iterdir()))  # the shipped ones, and a user's own
REASON = f"not denoised: unknown model 'not_there'; known: {KNOWN}"


@pytest.fixture
def pipeline(tmp_path) -> Path:
    """`grappa_denoise` with a model that is not there."""
    path = tmp_path / "missing.xml"
    text = (folder("pipelines") / "grappa_denoise.xml").read_text()
    assert text.count('value="snraware"') == 1
    path.write_text(text.replace('value="snraware"', 'value="not_there"'))
    return path


def by_series(images: list[ismrmrd.Image]) -> dict[int, ismrmrd.Image]:
    assert sorted(image.image_series_index for image in images) == [1, 2, 20]
    return {image.image_series_index: image for image in images}


def test_the_scan_is_served_and_so_is_the_next(server, raw_scan, pipeline) -> None:
    host, port, log = server
    with ScanFile(raw_scan("brain_16ch_r3")) as scan:
        missing = by_series([r.image for r in send_scan(scan, host, port, str(pipeline))])
        normal = by_series([r.image for r in send_scan(scan, host, port, "grappa_denoise")])
    assert missing[2].meta["SNRSTREAM_warning"] == REASON
    assert missing[2].meta["SNRSTREAM_denoised"] == "false" and "SNRSTREAM_model" not in missing[2].meta
    assert missing[2].meta["SeriesDescriptionAdditional"] == "_not denoised"
    assert np.array_equal(missing[2].data, missing[1].data) and np.array_equal(missing[1].data, normal[1].data)
    assert missing[1].meta == normal[1].meta and missing[20].meta == normal[20].meta
    assert normal[2].meta["SNRSTREAM_denoised"] == "true" and "SNRSTREAM_warning" not in normal[2].meta
    assert not np.array_equal(normal[2].data, normal[1].data)
    assert [line.count(REASON) for line in log.read_text().splitlines() if "WARNING" in line] == [1]


def test_files_say_so_too(raw_scan, pipeline, tmp_path, capfd) -> None:
    out = tmp_path / "out"
    command = ["recon", str(raw_scan("brain_16ch_r3")), "--pipeline", str(pipeline), "--output", str(out)]
    assert main(command) == 0
    assert capfd.readouterr().err.count(REASON) == 1
    original, second, _ = (pydicom.dcmread(path) for path in sorted((out / "dicom").glob("*.dcm")))
    assert second.SeriesNumber == 999002 and second.PixelData == original.PixelData
    assert second.SeriesDescription.endswith("_not denoised")
    assert second.ImageType == original.ImageType == ["ORIGINAL", "PRIMARY", "M", "ND"]
    assert f"; not denoised; WARNING: {REASON}; history " in second.DerivationDescription
    assert f"WARNING: {REASON}" in second.ImageComments
    assert "denoised by" not in second.DerivationDescription and "alpha" not in second.ImageComments
    assert "not denoised" not in original.DerivationDescription
