"""Encodings that converters leave incomplete or contradictory: what is taken in the place of what."""

import pytest

from snrstream.errors import ScanError
from snrstream.wire.header import Encoding, cartesian_encoding, parse_header
from snrtrain.benchmarks.header import cartesian_header

N, MM, HALF_N, HALF_MM = (128, 64, 4), (512.0, 256.0, 40.0), (64, 64, 4), (256.0, 256.0, 40.0)
XML = cartesian_header(N, MM, HALF_N, HALF_MM, (2, 1))


def read(*changes: tuple[str, str], xml: str = XML) -> tuple[Encoding, tuple[str, ...]]:
    """The encoding of a twice oversampled scan after replacements, each of which must find its text; the warnings."""
    for old, new in changes:
        assert old in xml
        xml = xml.replace(old, new)
    header = parse_header(xml)
    return cartesian_encoding(header), header.warnings


WHOLE, _ = read()
ENCODED, RECON = XML[XML.index("<encodedSpace>") :].split("\n")[0], XML[XML.index("<reconSpace>") :].split("\n")[0]


def space(name: str, n: tuple[object, ...], mm: tuple[object, ...]) -> str:
    return (
        f"<{name}><matrixSize><x>{n[0]}</x><y>{n[1]}</y><z>{n[2]}</z></matrixSize>"
        f"<fieldOfView_mm><x>{mm[0]}</x><y>{mm[1]}</y><z>{mm[2]}</z></fieldOfView_mm></{name}>"
    )


def limits(old: tuple[int, int, int], new: tuple[object, object, object]) -> tuple[str, str]:
    """A replacement of (minimum, centre, maximum)."""
    text = "<minimum>{}</minimum><maximum>{}</maximum><center>{}</center>"
    return text.format(old[0], old[2], old[1]), text.format(new[0], new[2], new[1])


def test_what_is_whole_stays_as_it_is() -> None:
    assert read()[1] == () and (WHOLE.encoded_matrix, WHOLE.recon_matrix) == (N, HALF_N)
    assert read((">64<", ">64.0<"), (">cartesian<", ">Cartesian<")) == (WHOLE, ())
    for word in ("none", "None", "NoAcceleration", "embedded", "Embedded"):
        assert read((">embedded<", f">{word}<")) == (WHOLE, ())


@pytest.mark.parametrize(
    ("name", "n", "mm", "n_told"),
    [
        ("reconSpace", (0, 0, 1), HALF_MM, 3),  # as of every pulseq scan that siemens_to_ismrmrd converts; z differs
        ("reconSpace", ("", "", ""), HALF_MM, 1),
        ("reconSpace", ("NaN", -3, 70000), HALF_MM, 4),
        ("reconSpace", HALF_N, ("", "", ""), 1),
        ("reconSpace", HALF_N, ("0", "NaN", "1e7"), 4),
        ("encodedSpace", ("", "", ""), MM, 1),
        ("encodedSpace", N, ("", 0, ""), 2),
        ("encodedSpace", ("twelve", "?", 0), MM, 4),
    ],
)
def test_one_space_comes_from_the_other(name: str, n: tuple[object, ...], mm: tuple[object, ...], n_told: int) -> None:
    old = ENCODED if name == "encodedSpace" else RECON
    found, told = read((old.strip(), space(name, n, mm)))
    if n == (0, 0, 1):
        assert found.recon_matrix == (64, 64, 1) and len(told) == n_told
        return
    assert found == WHOLE and len(told) == n_told


def test_spaces_that_are_not_there() -> None:
    found, told = read((RECON.strip(), ""))
    assert (found.recon_matrix, found.recon_fov_mm) == (N, MM)
    assert told == (
        "header lacks reconSpace.matrixSize or part of it: x = 128, y = 64, z = 4 taken",
        "header lacks reconSpace.fieldOfView_mm or part of it: x = 512, y = 256, z = 40 taken",
    )
    found, told = read((ENCODED.strip(), ""))
    assert (found.encoded_matrix, found.encoded_fov_mm) == (HALF_N, HALF_MM) and len(told) == 2
    found, told = read((ENCODED.strip(), space("encodedSpace", N, ("", "", ""))), (RECON.strip(), ""))
    assert found.encoded_fov_mm == found.recon_fov_mm == (128.0, 64.0, 4.0)  # pixels of 1 mm
    assert told[-1] == "header has no field of view along 3 axes: pixels of 1 mm, so lengths may be wrong"
    with pytest.raises(ScanError, match=r"encodedSpace with matrix \(None, None, 1\)"):
        read((ENCODED.strip(), ""), (RECON.strip(), ""))


def test_a_reconstruction_larger_than_what_was_encoded() -> None:
    found, (told,) = read((RECON.strip(), space("reconSpace", HALF_N, (256.0, 300.0, 40.0))))
    assert found == WHOLE and "fieldOfView_mm.y 300, which is more than was encoded: 256 is taken" in told
    slices = cartesian_header((128, 64, 1), (512.0, 256.0, 4.0), (64, 64, 2), (256.0, 256.0, 5.0))
    found, (told,) = read(xml=slices)
    assert found.recon_matrix[2] == 1 and found.recon_fov_mm[2] == 5.0  # whose thickness stays
    assert "reconSpace.matrixSize.z 2" in told


@pytest.mark.parametrize(
    "new",
    [(0, 32, 0), (0, 0, 0), (0, 32, 64), (0, 64, 63), (10, 5, 63), (-1, 32, 63), (0, 32, 3000000000), (0, "", 63),
     ("", 32, 63), (0, 32, "many")],
)  # fmt: skip
def test_limits_that_cannot_be_leave_it_to_the_lines(new: tuple[object, object, object]) -> None:
    found, told = read(limits((0, 32, 63), new))
    assert found.limits_known == (True, False) and WHOLE.limits_known == (True, True)
    assert (found.first, found.centre, found.last) == ((0, 0), (2, 32), (3, 63))
    assert "limits of kspace_encoding_step_1" in told[-1] and told[-1].endswith("the lines decide")
    found, told = read(limits((0, 2, 3), new))
    assert found.limits_known == (False, True) and (found.first, found.centre, found.last) == ((0, 0), (2, 32), (3, 63))


def test_limits_that_can_be_are_kept() -> None:
    for new in ((0, 32, 63), (8, 32, 63), (0, 8, 39), (0, 0, 63), (5, 5, 5)):
        found, told = read(limits((0, 32, 63), new))
        assert (found.first[1], found.centre[1], found.last[1]) == new and found.limits_known[1] and told == ()
    one_partition = cartesian_header((128, 64, 1), (512.0, 256.0, 4.0), (64, 64, 1), (256.0, 256.0, 4.0))
    found, told = read(limits((0, 0, 0), (0, 9, 3)), xml=one_partition)  # which one partition has no use for
    assert found.limits_known == (True, True) and (found.first[0], found.last[0]) == (0, 0) and told == ()


def test_counters_that_no_scan_has() -> None:
    whole = "<average><minimum>0</minimum><maximum>0</maximum><center>0</center></average>"
    for maximum in ("-1", "70000", "all"):
        found, told = read((whole, whole.replace("<maximum>0", f"<maximum>{maximum}")))
        assert found == WHOLE and "limits of average" in told[-1]
    found, told = read((whole, whole.replace("<maximum>0", "<maximum>3").replace("<center>0</center>", "")))
    assert found.n_averages == 4 and told == ()


def test_acceleration_factors_that_no_scan_has() -> None:
    old = "<kspace_encoding_step_1>2<"
    for new in ("0", "-2", "65", "two", ""):
        found, told = read((old, f"<kspace_encoding_step_1>{new}<"))
        assert found.acceleration == (1, 1) and told[-1].endswith("expected a number from 1 to 64: 1 is taken")
    found, told = read(("<kspace_encoding_step_2>1<", "<kspace_encoding_step_2>5<"))
    assert found == WHOLE and told[-1].endswith("expected a number from 1 to 4: 1 is taken")


def test_elements_that_come_twice() -> None:
    """Of two different numbers neither is taken; two of the same are one."""
    found, told = read((ENCODED.strip(), 2 * ENCODED.strip()), ("<x>128</x>", "<x>128</x><x>128</x>"))
    assert found == WHOLE and "2 elements encoding.encodedSpace.matrixSize.x; expected one" in told[1]
    found, told = read((ENCODED.strip(), ENCODED.strip().replace("<x>128</x>", "<x>128</x><x>96</x>")))
    assert found == WHOLE and told == (
        "header has encoding.encodedSpace.matrixSize.x '128 and 96'; expected one: none is taken",
        "header lacks encodedSpace.matrixSize or part of it: x = 128 taken",
    )
    with pytest.raises(ScanError, match="trajectory is 'other'"):
        read(("<trajectory>", "<trajectory>radial</trajectory><trajectory>"))
    found, told = read(("<trajectory>cartesian</trajectory>", ""))
    assert found == WHOLE and told == ("header lacks a trajectory: cartesian is taken",)


def test_twice_the_samples_over_the_same_length_are_told_of() -> None:
    told = "taken as it is, of twice the resolution"
    encoding, warnings = read((ENCODED, space("encodedSpace", N, HALF_MM)))
    assert encoding.encoded_fov_mm == HALF_MM and [told in text for text in warnings] == [True]
    for n in ((64, 64, 4), (128, 128, 4), (96, 64, 4)):  # none is left, all axes are finer, or one by another factor
        _, warnings = read((ENCODED, space("encodedSpace", n, HALF_MM)))
        assert not any(told in text for text in warnings)
