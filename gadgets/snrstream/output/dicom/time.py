"""When an image was acquired and written, and where it stands in the heart's cycle and in time."""

import datetime

import ismrmrd
from ismrmrd.xsd import ismrmrdHeader
from pydicom.dataset import Dataset

from .attributes import decimal, lookup
from .order import TICK_MS, Place

DAY = datetime.timedelta(days=1)


def add_time(dataset: Dataset, image: ismrmrd.Image, header: ismrmrdHeader | None, place: Place) -> None:
    """Dates and times, trigger time and temporal position, as far as they are known."""
    now = datetime.datetime.now()
    dataset.InstanceCreationDate = dataset.ContentDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.ContentTime = now.strftime("%H%M%S.%f")
    dataset.AcquisitionNumber = str(image.repetition + 1)
    _add_acquisition_time(dataset, image, header)
    if place.n_phases > 1:
        dataset.CardiacNumberOfImages = str(place.n_phases)
    if place.trigger_ms is not None:
        dataset.ScanOptions, dataset.TriggerTime = place.gating, decimal(place.trigger_ms)
    if place.time[1] > 1:
        dataset.TemporalPositionIdentifier, dataset.NumberOfTemporalPositions = map(str, place.time)


def _add_acquisition_time(dataset: Dataset, image: ismrmrd.Image, header: ismrmrdHeader | None) -> None:
    """The date is that of the series, else of the study, or the day after where midnight lies between."""
    series, study = "measurementInformation.series", "studyInformation.study"
    whose = series if lookup(header, f"{series}Date") is not None else study
    date, began = lookup(header, f"{whose}Date"), lookup(header, f"{whose}Time")
    # Only Siemens' time stamps are known to be a time of day: ticks of 2.5 ms since midnight.
    vendor = str(lookup(header, "acquisitionSystemInformation.systemVendor") or "")
    since_midnight = datetime.timedelta(milliseconds=image.acquisition_time_stamp * TICK_MS)
    is_known = "SIEMENS" in vendor.upper() and datetime.timedelta(0) < since_midnight < DAY
    if is_known:
        dataset.AcquisitionTime = (datetime.datetime.min + since_midnight).strftime("%H%M%S.%f")
    if date is None:
        return
    day = datetime.date(date.year, date.month, date.day)
    if is_known and began is not None and began.hour - since_midnight / DAY * 24 > 12:
        day += DAY
    dataset.AcquisitionDate = day.strftime("%Y%m%d")
