import numpy as np
import pytest
import torch

from snrstream.chain.chain import parse_chain
from snrstream.errors import ModelError
from snrstream.gadgets import denoise as gadget
from snrtrain.benchmarks import bart, denoise, denoise_peers, denoise_stream
from snrtrain.benchmarks.timing import Row
from snrtrain.evaluation.peers import STATIC
from tests.snrtrain.small_recipes import recipe


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("a", 2.0), ""),
        (Row("a", 2.0, limit=2), "limit 2"),
        (Row("a", 2.1, limit=2), "limit 2  MISSED"),
        (Row("a", 2.0, floor=2), "at least 2"),
        (Row("a", 1.9, floor=2), "at least 2  MISSED"),
    ],
)
def test_a_row_says_whether_it_falls_short(row: Row, verdict: str) -> None:
    assert row.verdict() == verdict


@pytest.mark.skipif(not bart.installed(), reason="BART is not installed")
def test_bart_reads_what_is_written_for_it(tmp_path) -> None:
    kspace = torch.randn(3, 1, 4, 6, dtype=torch.complex64)
    run = bart.Bart(tmp_path)
    run("transpose", "0", "1", run.write("kspace", kspace), "turned")
    assert (tmp_path / "turned.hdr").read_text().split()[2:6] == ["4", "6", "1", "3"]
    turned = np.fromfile(tmp_path / "turned.cfl", np.complex64).reshape(3, 1, 6, 4)
    assert np.array_equal(turned, kspace.transpose(2, 3).numpy())


def test_a_frame_through_the_gadget_is_timed_beside_the_bare_session() -> None:
    frame = denoise_peers.noisy_frame(32)
    rows = list(denoise.frame_rows(frame, denoise.bare_session(frame)))
    assert [row.limit for row in rows] == [1.2, 1.2]
    assert all(row.value > 0 for row in rows)


def test_a_streamed_series_is_timed_and_held_against_the_whole(monkeypatch) -> None:
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(denoise_stream, "candidates", lambda _model, _timeout_s: [])
    small = recipe("any", cells=("conv", "conv", "conv+cnnt"))
    time, off, alone = denoise_stream.rows(denoise_peers.noisy_frame(32), 7, small)
    assert time.what.startswith("7 images streamed, onnxruntime on CPU") and time.limit == 1.5 and time.value > 0
    assert off.limit == 1000 and off.value < 100
    assert alone.value > 1e-3, "earlier images have a say"


def test_a_frame_that_is_not_denoised_is_not_timed() -> None:
    with pytest.raises(ModelError, match="alpha is 1; expected it denoised"):
        denoise.gadget(denoise_peers.noisy_frame(32), gadget.Parameters(alpha=1.0))


def test_ours_and_the_peers_gain_on_the_noisy_frame() -> None:
    pytest.importorskip("skimage")
    frame = denoise_peers.noisy_frame(64)
    peers = [STATIC["NLM"], STATIC["wavelets"]]
    answers = [denoise.answer(frame)(), *(peer(frame.noisy[None], frame.gmap)[0] for peer in peers)]
    noisy = frame.psnr(frame.noisy)
    assert all(frame.psnr(answer) > noisy + 2 for answer in answers)


def test_a_peer_has_a_row_for_its_time_and_one_for_its_psnr() -> None:
    frame = denoise_peers.noisy_frame(32)
    times, psnr = denoise_peers.row_pair("none", frame, lambda: frame.noisy, denoise.bare_session(frame), 0)
    assert 0 < times.value < 1  # it does nothing
    assert psnr.value == frame.psnr(frame.noisy)


def test_the_same_pipeline_without_denoising_differs_by_that_gadget_alone() -> None:
    def gadgets(xml: bytes) -> list[str]:
        return [name for name, _ in parse_chain(xml, "test").steps]

    whole = (denoise.folder("pipelines") / "grappa_denoise.xml").read_bytes()
    assert gadgets(denoise.without_denoising()) == [name for name in gadgets(whole) if name != "denoise"]


def test_a_scan_with_denoising_is_timed_through_the_socket() -> None:
    rows = list(denoise.chain_rows(2, denoise.bare_session(denoise_peers.noisy_frame(32))))
    assert [row.limit for row in rows] == [1.3, None, None]
    assert rows[0].value > rows[1].value > 0  # the sum is more than the longer
