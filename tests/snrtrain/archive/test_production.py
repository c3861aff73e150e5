"""What an archive's maker writes."""

import pytest

from snrstream.errors import ConfigurationError
from snrtrain.archive import production


def test_what_cannot_be_written_is_named(tmp_path):
    place = tmp_path / "file"
    place.touch()
    with (
        pytest.raises(ConfigurationError, match=rf"^{place}/x cannot be written: Not a directory$"),
        production.writing(place / "x"),
    ):
        (place / "x").mkdir()
