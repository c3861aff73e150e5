"""The channels of a scan: as many in each line, with the noise that was measured of them."""

import ismrmrd

from ..errors import ScanError
from ..items import Bucket
from ..recon.noise import HOT, louder_than_measured


class Channels:
    """Compares the lines of one scan, and the noise of its first image."""

    def __init__(self) -> None:
        self._n_channels = 0
        self._is_noise_checked = False

    def require(self, acquisition: ismrmrd.Acquisition) -> None:
        """Refuse a line that has more or fewer channels than the first.

        Raises
        ------
        ScanError
            Where it has.
        """
        n_channels = len(acquisition.data)
        self._n_channels = self._n_channels or n_channels
        if n_channels != self._n_channels:
            raise ScanError(
                f"acquisition {acquisition.scan_counter} has {n_channels} channels; the scan began with "
                f"{self._n_channels}"
            )

    def told_if_loud(self, bucket: Bucket) -> tuple[str, ...]:
        """A warning where the first image in SNR units has channels whose noise is not what was measured; or nothing.

        Parameters
        ----------
        bucket : Bucket
            An image; later ones are not looked at.
        """
        if self._is_noise_checked or not bucket.snr_units:
            return ()
        self._is_noise_checked = True
        loud = louder_than_measured(bucket.kspace, bucket.line_sd, bucket.sample_sd)
        if not loud:
            return ()
        return (
            f"channels {loud} hold more than {HOT:g} times the noise that was measured of them, next to the others: "
            "expect errors in images and SNR",
        )
