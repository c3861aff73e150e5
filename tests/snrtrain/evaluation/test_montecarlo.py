"""Monte Carlo: replicas have the g-map's noise, and a linear model's gain comes out."""

import csv
from dataclasses import replace
from pathlib import Path

import ismrmrd
import numpy as np
import pytest
import torch

from snrstream.errors import ConfigurationError, ModelError, ScanError
from snrtrain.commands import evaluate
from snrtrain.evaluation.regions import regions
from snrtrain.evaluation.replicas import Spread, read_scan
from snrtrain.evaluation.residuals import reading, residual_row
from snrtrain.metrics import object_mask
from snrtrain.simulation.phantom import simulate_scan
from snrtrain.simulation.scan_file import write

SIZE = 64


def striped_disc() -> torch.Tensor:
    """Two tissues in stripes of 8 pixels, and a dark rim around them."""
    y, x = torch.meshgrid(*2 * [torch.arange(SIZE) - SIZE / 2], indexing="ij")
    tissues = 0.6 + 0.4 * ((x // 8) % 2)
    return torch.where(x**2 + y**2 < 24**2, tissues, 0.3 * (x**2 + y**2 < 28**2))


@pytest.fixture
def scans(tmp_path) -> tuple[str, str]:
    """The striped disc at R = 2 and fully sampled."""
    paths = []
    for r in (2, 1):
        paths.append(tmp_path / f"r{r}.h5")
        write(simulate_scan(striped_disc(), np.random.default_rng(r), 8, r, 24, snr=40.0), paths[-1])
    return str(paths[0]), str(paths[1])


def run(scan: str, model: str, *more: str) -> None:
    evaluate.main(["montecarlo", scan, "--model", model, "--repetitions", "8", *more])


def rows_of(tmp_path) -> dict[str, dict[str, str]]:
    with (tmp_path / "out/table.csv").open() as file:
        return {row["image"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("scan", [0, 1], ids=["R=2", "fully sampled"])
def test_replicas_vary_by_the_gmap(scans, scan: int) -> None:
    images = read_scan(scans[scan], "grappa_snr", 0).images(40, np.random.default_rng(1))
    first = next(images)
    replicas = np.stack([replica.image for replica in images])
    measured = np.sqrt((np.abs(replicas - replicas.mean(axis=0)) ** 2).sum(axis=0) / (2 * 39))
    inside = np.abs(first.image) > 5
    # SD of the SD of 40 complex numbers: 8 % a pixel, over 1400 pixels that hardly correlate.
    assert np.median(measured[inside] / first.gmap[inside]) == pytest.approx(1.0, abs=0.02)
    assert np.abs(replicas.mean(axis=0) - first.image)[inside].mean() < 0.4  # sqrt(pi / 2 / 40) = 0.2 of g


def test_mean_and_sd_are_those_of_all_images() -> None:
    images = torch.randn(7, 2, 5, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    spread = Spread()
    for image in images:
        spread.add(image)
    assert torch.allclose(spread.mean, images.abs().double().mean(0))
    assert torch.allclose(spread.sd, images.abs().double().std(0))


def test_a_linear_model_divides_the_noise_by_its_gain(scans, tmp_path, model_folder, outputs) -> None:
    run(scans[0], model_folder("half", 0.5), *outputs)
    rows = rows_of(tmp_path)
    assert list(rows) == ["noisy", "network", "network, alpha 0.25"]
    for name, gain in (("noisy", 1.0), ("network", 0.5), ("network, alpha 0.25", 0.625)):
        for fall in ("fall", "fall_bright", "fall_dark"):
            assert float(rows[name][fall]) == pytest.approx(1 / gain, rel=0.02)  # local means are given back
        for ratio in ("snr", "snr_bright", "snr_dark", "cnr"):  # signal and noise fall alike
            assert float(rows[name][ratio]) > 0.95 * float(rows["noisy"][ratio])
        assert rows[name]["psnr"] == "nan"
    assert "No requirement was judged" in (tmp_path / "out/table.md").read_text(), "the fall alone is no quality"
    seen = model_folder("seen", 0.5, training={"data": [f"{Path(scans[0]).name} (MIT)"]})
    run(scans[0], seen, *outputs)
    assert "No requirement was judged" in (tmp_path / "out/table.md").read_text()


def test_a_full_scan_tells_quality_and_edges(scans, tmp_path, model_folder, outputs) -> None:
    with pytest.raises(ModelError, match="3 of 3 requirements missed"):
        run(scans[0], model_folder("half", 0.5), "--reference", scans[1], *outputs)
    rows = rows_of(tmp_path)
    assert float(rows["noisy"]["edges"]) == pytest.approx(1.0, abs=0.05)
    assert float(rows["network"]["edges"]) == pytest.approx(0.5 * float(rows["noisy"]["edges"]), rel=0.1)
    assert float(rows["noisy"]["psnr"]) > float(rows["network"]["psnr"]) + 4
    assert float(rows["network"]["nrmse"]) > 1.5 * float(rows["noisy"]["nrmse"])
    assert (tmp_path / "out/table.png").is_file()


def test_labels_take_the_place_of_tissues(scans, tmp_path, model_folder, outputs) -> None:
    disc = striped_disc()
    labels = 2 * (disc == 1).numpy().astype(np.uint8)
    labels[disc.numpy() == np.float32(0.6)] = 5
    np.save(tmp_path / "mask.npy", labels)
    half = model_folder("half", 0.5)
    run(scans[0], half, "--roi", str(tmp_path / "mask.npy"), *outputs)
    assert rows_of(tmp_path)["noisy"]["snr_bright"] == "nan", "none were sought"
    with (tmp_path / "out/table_roi.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == 3 * ["2", "5"]
    bright, dark, ours = rows[:3]
    assert int(bright["pixels"]) == (labels == 2).sum()
    assert float(dark["mean"]) == pytest.approx(0.6 * float(bright["mean"]), rel=0.05)
    noise = float(bright["sd"]), float(dark["sd"])
    signal = float(bright["mean"]) - float(dark["mean"])
    assert float(dark["cnr"]) == pytest.approx(2 * signal / sum(noise))
    assert float(ours["sd"]) == pytest.approx(0.5 * noise[0], rel=0.02)
    assert "CNR to first label" in (tmp_path / "out/table.md").read_text()
    # A plain phantom has no two tissues, and needs none.
    write(simulate_scan(torch.ones(48, 48), np.random.default_rng(0), 4), tmp_path / "water.h5")
    with pytest.raises(ConfigurationError, match=r"\(64, 64\); expected \(1, 48, 48\)"):
        run(str(tmp_path / "water.h5"), half, "--roi", str(tmp_path / "mask.npy"), *outputs)
    np.save(tmp_path / "water.npy", np.ones((1, 48, 48)))
    run(str(tmp_path / "water.h5"), half, "--roi", str(tmp_path / "water.npy"), *outputs)


def test_a_residual_that_is_noise_has_the_figures_of_noise_and_one_with_edges_has_not(scans) -> None:
    scan, rng = read_scan(scans[0], "grappa_snr", 0), np.random.default_rng(1)
    image, replica = (torch.from_numpy(found.image) for found in scan.images(1, rng))
    gmap = torch.from_numpy(next(scan.images(0, rng)).gmap)
    magnitude, mask = image.abs(), object_mask(image.abs())
    noise = residual_row("noise", replica - image, gmap, magnitude, mask)
    for sd in (noise.sd, noise.sd_low, noise.sd_middle, noise.sd_high):
        assert sd == pytest.approx(1.0, abs=0.07)
    assert abs(noise.edges) < 0.05
    step = image - torch.roll(image, 1, dims=-1)
    blurred = residual_row("blurred", 0.3 * (replica - image) + 0.2 * step, gmap, magnitude, mask)
    assert blurred.edges > 0.3
    assert "more where the object has edges, so anatomy may be among it" in reading(noise, blurred)
    assert reading(noise, noise) == (
        "It took off 100% of the noise SD, as much where the object has edges as elsewhere; "
        "neighbours correlate as in noise."
    )
    kept = replace(noise, sd=0.9 * noise.sd, edges=noise.edges - 0.1, neighbours=noise.neighbours - 0.1)
    assert reading(noise, kept) == (
        "It took off 90% of the noise SD, less where the object has edges, so that noise stays there; "
        "slow changes of the noise stay in the image."
    )
    assert "it is smoother than noise" in reading(noise, replace(noise, neighbours=noise.neighbours + 0.1))
    assert "cannot be told" in reading(noise, replace(noise, edges=float("nan")))
    smooth = residual_row("smooth", torch.ones_like(image), torch.ones_like(gmap), magnitude, mask)
    assert smooth.neighbours == pytest.approx(1.0) and np.isnan(smooth.sd_low)


def dropped(full: str, place: Path, noise_scale: float = 1.0) -> str:
    """The same scan without every other line beside the centre: its noise is the full scan's.

    noise_scale: of the noise measurement alone, as where each file has one of its own.
    """
    with ismrmrd.Dataset(full, create_if_needed=False) as whole, ismrmrd.Dataset(place) as part:
        part.write_xml_header(whole.read_xml_header())
        for n in range(whole.number_of_acquisitions()):
            line = whole.read_acquisition(n)
            if line.isFlagSet(ismrmrd.ACQ_IS_NOISE_MEASUREMENT):
                line.data[:] *= noise_scale
            at = line.idx.kspace_encode_step_1
            if line.isFlagSet(ismrmrd.ACQ_IS_NOISE_MEASUREMENT) or at % 2 == 0 or abs(at - SIZE // 2) < 12:
                part.append_acquisition(line)
    return str(place)


def test_noise_that_a_scan_shares_with_the_full_one_is_told_and_closeness_not_judged(
    scans, tmp_path, model_folder, outputs
) -> None:
    half, same = model_folder("half", 0.5), dropped(scans[1], tmp_path / "dropped.h5")
    for more in ([], ["--added-noise", "0.5"]):
        run(same, half, "--reference", scans[1], *more, *outputs)
        told = (tmp_path / "out/table.md").read_text()
        assert "both have the same noise" in told and "No requirement was judged." in told
    assert "80% of whose power is then that of the full scan's noise" in told
    with pytest.raises(ModelError, match="of 3 requirements missed"):
        run(same, half, "--reference", scans[1], "--added-noise", "3", *outputs)
    told = (tmp_path / "out/table.md").read_text()
    assert (
        "Noise of 3 SD was added to the scan's own, 10% of whose power" in told
        and "both have the same noise" not in told
    )


def test_lines_are_the_same_whatever_noise_measurement_whitens_them(scans, tmp_path) -> None:
    full, other = (read_scan(Path(path), "grappa_snr", 0) for path in (scans[1], scans[0]))
    for scale in (1.0, 1.02, 1.3):
        assert read_scan(Path(dropped(scans[1], tmp_path / f"{scale}.h5", scale)), "grappa_snr", 0).shares_lines_of(
            full
        )
    assert not other.shares_lines_of(full), "another scan of the same object"


def test_a_scan_with_added_noise_is_in_snr_units_at_a_lower_snr(scans) -> None:
    scan, rng = read_scan(scans[0], "grappa_snr", 0), np.random.default_rng(0)
    before, after = (np.abs(next(s.images(0, rng)).image) for s in (scan, scan.noisier(3.0, rng)))
    inside = before > 20
    assert after[inside].mean() == pytest.approx(before[inside].mean() / 10**0.5, rel=0.04)  # and the magnitude's bias


def test_of_the_noise_the_share_that_is_told_is_that_of_the_scan_itself(scans) -> None:
    scan, rng = read_scan(scans[0], "grappa_snr", 0), np.random.default_rng(0)
    own, loud = (next(s.images(0, rng)) for s in (scan, scan.noisier(2.0, rng)))
    added = loud.image * 5**0.5 - own.image  # back from the SNR units of five times the noise power
    inside = np.abs(own.image) > 5
    power = float(np.mean(np.abs(added[inside] / own.gmap[inside]) ** 2) / 2)  # in that of the scan's own noise
    assert 1 / (1 + power) == pytest.approx(0.2, abs=0.015)


def test_regions_are_the_tissues_without_their_edges() -> None:
    disc = striped_disc()
    speck = disc.clone()
    speck[1:3, 1:3] = 1.0
    marked = regions(speck[None])
    assert torch.equal(marked.object[0], disc > 0)
    # Smoothing by a pixel moves borders by less than the pixel that is taken off.
    assert (disc[marked.bright[0]] == 1).float().mean() > 0.97
    assert (disc[marked.dark[0]] == 0.6).float().mean() > 0.97
    assert min(int(marked.bright.sum()), int(marked.dark.sum())) > 400


def test_mistakes_are_named(scans, tmp_path, model_folder, outputs) -> None:
    same = model_folder()
    with pytest.raises(ScanError, match=r"none\.h5 does not exist"):
        run(str(tmp_path / "none.h5"), same, *outputs)
    with pytest.raises(ConfigurationError, match="--image is 1; .* has fewer images"):
        run(scans[0], same, "--image", "1", *outputs)
    with pytest.raises(ConfigurationError, match="expected 2 and 0 or more"):
        run(scans[0], same, "--repetitions", "1", *outputs)
    write(simulate_scan(torch.ones(32, 32), np.random.default_rng(0), 4), tmp_path / "small.h5")
    with pytest.raises(ConfigurationError, match=r"reference has the shape \(1, 32, 32\); expected \(1, 64, 64\)"):
        run(scans[0], same, "--reference", str(tmp_path / "small.h5"), *outputs)
