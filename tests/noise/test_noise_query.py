"""The question of Gadgetron's client for a stored noise measurement."""

import math

import ismrmrd
import numpy as np
import pytest

from snrstream.noise import store as noise_store
from snrstream.noise.measurement import NoiseMeasurement
from snrstream.noise.query import is_noise_query, noise_list, noise_summary
from snrstream.wire.decoder import Decoder
from snrstream.wire.encoder import encode
from snrstream.wire.messages import Close, Dependency

NOT_STORED = (
    b'<?xml version="1.0"?>\n<ismrmrdMeta>\n\t<meta>\n\t\t<name>status</name>\n'
    b"\t\t<value>failed</value>\n\t</meta>\n</ismrmrdMeta>\n"
)


def query(measurement: str) -> bytes:
    """In both dialects of a property: elements, as Gadgetron's client sends them, and attributes."""
    return (
        b'<gadgetronStreamConfiguration xmlns="http://gadgetron.sf.net/gadgetron"><writer><slot>1019</slot>'
        b"<dll>gadgetron_mricore</dll><classname>DependencyQueryWriter</classname></writer><gadget>"
        b"<name>NoiseSummary</name><dll>gadgetron_mricore</dll><classname>NoiseSummaryGadget</classname><property>"
        b"<name>noise_file</name><value>GadgetronNoiseCovarianceMatrix_"
        + measurement.encode()
        + b"</value></property></gadget></gadgetronStreamConfiguration>"
    )


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SNRSTREAM_NOISE_STORE", str(tmp_path))


def test_what_is_stored_is_summed_up() -> None:
    covariance = np.diag([4.0, 9.0, 0.25]).astype(complex)
    noise_store.keep("45387_1_2_343", NoiseMeasurement(covariance, 1000, 7.8, 0.793))
    assert is_noise_query(query("45387_1_2_343"))
    meta = ismrmrd.Meta.deserialize(noise_summary(query("45387_1_2_343")))
    assert list(meta) == ["channels", "max_sigma", "mean_sigma", "min_sigma", "noise_dwell_time_us", "status"]
    assert (meta["status"], meta["channels"]) == ("success", "3")
    numbers = [float(meta[name]) for name in ("max_sigma", "min_sigma", "noise_dwell_time_us")]
    assert numbers == [3.0, 0.5, 7.8]
    assert math.isclose(float(meta["mean_sigma"]), 5.5 / 3, rel_tol=1e-5)  # six digits, as C++ prints numbers


@pytest.mark.parametrize(
    "text",
    [
        query("45387_1_2_343"), query(""), query("../../etc/passwd"), query(10_000 * "x"),
        query("").replace(b"noise_file", b"other"), b"<configuration/>", b"<a", b"",
    ],
)  # fmt: skip
def test_what_is_not_stored_has_failed(text: bytes) -> None:
    assert noise_summary(text) == NOT_STORED


def test_all_that_is_kept_is_listed(tmp_path) -> None:
    assert ismrmrd.Meta.deserialize(noise_list()) == {"NoiseDependencies": "Dummy"}
    for measurement in ("b<&", "a", "ü"):
        noise_store.keep(measurement, NoiseMeasurement(np.eye(2, dtype=complex), 1000, 5.0, 0.793))
    (tmp_path / f"{'0' * 64}.npz").write_bytes(b"damaged")
    names = [f"GadgetronNoiseCovarianceMatrix_{measurement}" for measurement in ("a", "b<&", "ü")]
    assert ismrmrd.Meta.deserialize(noise_list())["NoiseDependencies"] == names


def test_attributes_say_the_same_as_elements() -> None:
    noise_store.keep("m", NoiseMeasurement(np.eye(2, dtype=complex), 1000, 5.0, 0.793))
    text = b'<configuration><gadget><classname>NoiseSummaryGadget</classname><property name="noise_file" value="m"/>'
    assert noise_summary(text + b"</gadget></configuration>") == noise_summary(query("m")) != NOT_STORED


def test_a_recorded_query_gets_the_recorded_answer(test_data) -> None:
    captures = [test_data / "captures" / f"client_noise_query.{side}_server.bin" for side in ("to", "from")]
    asked, answered = (path.read_bytes() for path in captures)
    text, _ = Decoder().receive(asked)
    assert is_noise_query(text.xml)
    assert encode(Dependency(noise_summary(text.xml))) + encode(Close()) == answered
    noise_store.keep("45387_1079885_1079904_343", NoiseMeasurement(np.eye(2, dtype=complex), 1000, 5.0, 0.793))
    assert b"<value>success</value>" in noise_summary(text.xml)
