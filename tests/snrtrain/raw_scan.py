"""Raw scans as files, for what reads them."""

import ismrmrd
import numpy as np


def write(path, header, acquisitions):
    """A raw scan with a noise measurement ahead, of white noise."""
    acquisitions = list(acquisitions)
    parts = np.random.default_rng(0).normal(size=(2, acquisitions[0].active_channels, 8192))
    noise = ismrmrd.Acquisition.from_array((parts[0] + 1j * parts[1]).astype(np.complex64), sample_time_us=5.0)
    noise.set_flag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    dataset = ismrmrd.Dataset(str(path), "dataset", create_if_needed=True)
    dataset.write_xml_header(header.toXML("utf-8"))
    for acquisition in (noise, *acquisitions):
        dataset.append_acquisition(acquisition)
    dataset.close()
    return path
