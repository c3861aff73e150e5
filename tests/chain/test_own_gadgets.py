"""Gadgets of the user's, of a folder and of installed packages, and what a configuration can name."""

from pathlib import Path

import ismrmrd
import numpy as np
import pytest

from snrstream.chain.chain import parse_chain
from snrstream.chain.pipelines import named_chain
from snrstream.chain.registry import BUILT_IN, Registry, known_gadgets
from snrstream.cli import main
from snrstream.errors import ConfigurationError, ScanError
from snrstream.gadgets.gadget import Gadget
from tests import scans

NEGATIVE = """
import dataclasses

from snrstream.gadgets.gadget import each
from snrstream.items import ReconImage

AFTER = "coil_combine"


@dataclasses.dataclass(frozen=True)
class Parameters:
    factor: float = -1.0


def start(scan, parameters):
    return each(ReconImage, lambda item: dataclasses.replace(item, image=item.image * parameters.factor))
"""
FINISH = '<gadget name="image_finish"><property name="output" value="complex"/></gadget>'


def configuration(*names: str) -> str:
    return "<configuration>{}</configuration>".format("".join(f'<gadget name="{name}"/>' for name in names))


def in_folder(folder: Path, **texts: str) -> Registry:
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return known_gadgets(folder)


def install(site: Path, points: str, distribution: str = "mine", **modules: str) -> None:
    """A package as pip leaves it: its modules, and the metadata with its entry points."""
    for name, text in modules.items():
        (site / f"{name}.py").write_text(text)
    metadata = site / f"{distribution}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[snrstream.gadgets]\n{points}\n")


@pytest.fixture
def site(tmp_path, monkeypatch) -> Path:
    """A folder on Python's path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def image_of(known: Registry, *names: str) -> ismrmrd.Image:
    """Of a small scan without acceleration, by these gadgets."""
    rng = np.random.default_rng(0)
    kspace = rng.standard_normal((2, 1, 8, 8)) + 1j * rng.standard_normal((2, 1, 8, 8))
    text = configuration("accumulate", *names).replace("</configuration>", FINISH + "</configuration>")
    lines = scans.acquisitions(kspace.astype(np.complex64), [(0, line) for line in range(8)])
    image, _ = parse_chain(text, "test", known).run(lines, scans.header((1, 8, 8)))
    return image


def test_a_gadget_of_a_folder_works_on_what_leaves_the_one_that_it_follows(tmp_path) -> None:
    known = in_folder(tmp_path / "own", negative=NEGATIVE)
    assert known.names[known.names.index("negative") - 1] == "coil_combine"
    plain = image_of(known, "coil_combine")
    assert np.array_equal(image_of(known, "coil_combine", "negative").data, -plain.data)


def test_a_gadget_of_an_installed_package_does_too(site) -> None:
    install(site, "negative = my_negative_gadget", my_negative_gadget=NEGATIVE)
    known = known_gadgets()
    assert np.array_equal(image_of(known, "coil_combine", "negative").data, -image_of(known, "coil_combine").data)


def test_it_stands_between_the_gadgets_around_its_place(tmp_path) -> None:
    known = in_folder(tmp_path / "own", first=NEGATIVE, second=NEGATIVE)
    for names in (["coil_combine", "second", "first", "resize"], ["coil_combine", "first"], ["first", "denoise"]):
        assert [name for name, _ in parse_chain(configuration(*names), "test", known).steps][: len(names)] == names
    for names in (["first", "coil_combine"], ["coil_combine", "resize", "first"], ["first", "second", "first"]):
        with pytest.raises(ConfigurationError, match="each at most once, in this order: .*coil_combine, first, second"):
            parse_chain(configuration(*names), "test", known)


@pytest.mark.parametrize(
    ("after", "added"),
    [
        ("noise_adjust", []),
        ("accumulate", ["grappa", "coil_combine", "image_finish"]),
        ("coil_combine", ["image_finish"]),
        ("image_finish", []),
    ],
)
def test_a_chain_that_ends_with_it_goes_on_to_images(tmp_path, after: str, added: list[str]) -> None:
    known = in_folder(tmp_path / "own", mine=NEGATIVE.replace("coil_combine", after))
    assert [name for name, _ in parse_chain(configuration("mine"), "test", known).steps] == ["mine", *added]


@pytest.mark.parametrize(
    "name", ["os", "gadget", "shared", "snrstream.gadgets.denoise", "../own/negative", "_private", "negative.py", ""]
)
def test_a_configuration_names_no_other_code(tmp_path, name: str) -> None:
    known = in_folder(tmp_path / "own", negative=NEGATIVE, _private="raise SystemExit('imported')")
    with pytest.raises(ConfigurationError, match="unknown gadget"):
        parse_chain(configuration(name), "test", known)
    with pytest.raises(ConfigurationError, match="unknown gadget 'negative'"):
        parse_chain(configuration("negative"), "test", BUILT_IN)


BROKEN = {
    "1 / 0": "cannot be imported: ZeroDivisionError: division by zero \\(line 1 of mine.py\\)",
    "def": "cannot be imported: SyntaxError: ",
    "import no_such_package": "cannot be imported: ModuleNotFoundError: No module named 'no_such_package'",
    "raise SystemExit(0)": "cannot be imported: SystemExit",
    "": "has no frozen dataclass Parameters",
    NEGATIVE.replace("frozen=True", ""): "has no frozen dataclass Parameters",
    NEGATIVE.replace("def start", "def process"): "has no function start",
    NEGATIVE.replace("AFTER", "BEFORE"): "has AFTER = None; expected one of: noise_adjust, epi, accumulate, ",
    NEGATIVE.replace('"coil_combine"', '"combine"'): "has AFTER = 'combine'; expected one of: noise_adjust",
    NEGATIVE.replace('"coil_combine"', "[]"): "has AFTER = \\[\\]; expected one of",
    NEGATIVE.replace(" = -1.0", ""): "has Parameters that cannot be used: factor has no default",
    NEGATIVE.replace(
        "float = -1.0", "tuple = ()"
    ): "has Parameters that cannot be used: factor is of <class 'tuple'>; expected bool, int",
    NEGATIVE
    + "def __getattr__(name): raise RuntimeError('no ' + name)\ndel AFTER": "cannot be imported: RuntimeError: no A",
    NEGATIVE.replace("-1.0", "dataclasses.field(default=1.0, init=False)"): "has Parameters .*: factor cannot be set",
    NEGATIVE.replace("float = -1.0", "'nothing' = 1"): "has Parameters that cannot be used: NameError",
}


@pytest.mark.parametrize(("text", "match"), BROKEN.items(), ids=range(len(BROKEN)))
def test_one_that_cannot_be_used_is_an_error_before_any_scan(tmp_path, text: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=f"own gadget mine of .*mine.py {match}") as error:
        in_folder(tmp_path / "own", mine=text)
    assert "\n" not in str(error.value)


def test_a_command_tells_of_it_in_one_line(site, tmp_path, capsys) -> None:
    install(site, "broken = my_broken_gadget", my_broken_gadget="import no_such_package")
    assert main.main(["recon", "scan.h5", "--output", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("snrstream: own gadget broken of entry point my_broken_gadget cannot be imported: Module")
    assert told.count("\n") == 1


def test_names_are_told_apart(site, tmp_path) -> None:
    with pytest.raises(ConfigurationError, match=r"own gadget grappa of .*grappa.py has the name of one of snrstream"):
        in_folder(tmp_path / "own", grappa=NEGATIVE)
    with pytest.raises(ConfigurationError, match="own gadget a b of .* has no plain name"):
        in_folder(tmp_path / "spaces", **{"a b": NEGATIVE})
    install(site, "twice = my_negative_gadget", my_negative_gadget=NEGATIVE)
    with pytest.raises(
        ConfigurationError, match="own gadget twice of .*twice.py has the name of one of entry point my"
    ):
        in_folder(tmp_path / "twice", twice=NEGATIVE)


def test_two_packages_with_one_name(site) -> None:
    install(site, "twice = my_negative_gadget", "mine", my_negative_gadget=NEGATIVE)
    install(site, "twice = another_gadget", "others", another_gadget=NEGATIVE)
    with pytest.raises(ConfigurationError, match="has the name of one of entry point"):
        known_gadgets()


@pytest.mark.parametrize("points", [b"[snrstream.gadgets]\nmine", b"[snrstream.gadgets]\nm\xefne = mine"])
def test_broken_metadata_of_any_package_is_told_in_a_line(site, points: bytes, capsys) -> None:
    install(site, "")
    (site / "mine-1.0.dist-info" / "entry_points.txt").write_bytes(points)
    assert main.main(["gadgets"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("snrstream: entry points of the installed packages cannot be read: ")
    assert told.count("\n") == 1


def test_a_pipelines_folder_that_is_not_there(monkeypatch, tmp_path) -> None:
    """No mistyped name: a server keeps the raw data of a scan that meets it."""
    monkeypatch.setenv("SNRSTREAM_PIPELINES", str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match="the pipelines folder .*nowhere does not exist") as error:
        named_chain("grappa_snr")
    assert type(error.value) is ConfigurationError


def test_a_folder_that_is_not_there(tmp_path) -> None:
    with pytest.raises(ConfigurationError, match="folder of gadgets .*nowhere cannot be read: No such file"):
        known_gadgets(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("body", "match"),
    [
        ("return each(ReconImage, lambda item: 1 / 0)", "ZeroDivisionError: division by zero \\(line "),
        ("return each(ReconImage, lambda item: None)", "it answers with None; expected the item"),
        ("raise SystemExit(0)", "SystemExit: 0 \\(line "),
        ("return each(ReconImage, lambda item: item.image)", "it answers with ndarray; expected the item"),
        ("return each(ReconImage, lambda item: other(item, image=abs(item.image)))", "its image is float32 \\(1, 8, 8"),
        ("return each(ReconImage, lambda item: other(item, image=item.image[0]))", "its image is complex64 \\(8, 8\\)"),
        (
            "return each(ReconImage, lambda item: other(item, image=item.image * float('nan')))",
            "its image has 64 of 64 ",
        ),
        ("return each(ReconImage, lambda item: other(item, gmap=None))", "its gmap is NoneType; expected float32"),
        (
            "return each(ReconImage, lambda item: other(item, meta={'snr': 5}))",
            "its meta is {'snr': 5}; expected texts",
        ),
        (
            "return each(ReconImage, lambda item: other(item, warnings='dark'))",
            "its warnings are 'dark'; expected a tup",
        ),
        ("raise KeyError('x')", "KeyError: 'x' \\(line "),
    ],
)
def test_what_goes_wrong_in_it_names_it(tmp_path, body: str, match: str) -> None:
    text = NEGATIVE[: NEGATIVE.index("    return each")] + f"    {body}\n\n\nother = dataclasses.replace\n"
    with pytest.raises(ScanError, match=f"own gadget mine of .*mine.py failed: {match}"):
        image_of(in_folder(tmp_path / "own", mine=text), "coil_combine", "mine")


def test_what_start_answers_with_is_a_gadget(tmp_path) -> None:
    text = NEGATIVE[: NEGATIVE.index("    return each")]
    known = in_folder(tmp_path / "own", mine=text + "    return None\n")
    with pytest.raises(ConfigurationError, match="start answers with NoneType; expected a gadget"):
        image_of(known, "coil_combine", "mine")
    known = in_folder(tmp_path / "own", mine=text + "    return parameters\n")
    with pytest.raises(ConfigurationError, match="start answers with Parameters; expected a gadget"):
        image_of(known, "coil_combine", "mine")


def test_a_gadget_needs_no_more_than_take() -> None:
    class Passing(Gadget):
        def take(self, item):
            return (item,)

    gadget, item = Passing(), ismrmrd.Acquisition()
    assert gadget.take(item) == (item,)
    assert [*gadget.pause(), *gadget.end(), *gadget.failed()] == []


def test_what_goes_wrong_at_its_end_names_it_too(tmp_path) -> None:
    text = NEGATIVE[: NEGATIVE.index("def start")].replace("import each", "import Gadget") + (
        "class Mine(Gadget):\n    def take(self, item):\n        return (item,)\n\n"
        "    def close(self):\n        raise KeyError('left')\n\n\n"
        "def start(scan, parameters):\n    return Mine()\n"
    )
    with pytest.raises(ScanError, match=r"own gadget mine of .*mine.py failed: KeyError: 'left' \(line "):
        image_of(in_folder(tmp_path / "own", mine=text), "coil_combine", "mine")


def test_its_parameters_may_refuse_a_value_by_any_error(tmp_path) -> None:
    text = NEGATIVE.replace(
        "-1.0\n", "-1.0\n\n    def __post_init__(self):\n        assert self.factor < 0, 'too large'\n"
    )
    known = in_folder(tmp_path / "own", mine=text)
    setting = configuration("mine").replace("/></c", '><property name="factor" value="2"/></gadget></c')
    with pytest.raises(ConfigurationError, match="gadget mine in test: AssertionError: too large"):
        parse_chain(setting, "test", known)


def test_hidden_files_are_no_gadgets(tmp_path) -> None:
    """As editors and foreign file systems leave them."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "._mine.py").write_bytes(b"\0\5\x16\7")
    (folder / ".#mine.py").symlink_to("somebody@somewhere:1")
    assert in_folder(folder, mine=NEGATIVE).names == known_gadgets(folder).names
    assert [gadget.name for gadget in known_gadgets(folder).own] == ["mine"]


def test_what_it_says_about_itself_cannot_steer_a_terminal(tmp_path, capsys) -> None:
    for docstring, shown in ((r"'\x1b[31mred'", r"\x1b[31mred"), ("__doc__ = 5", "mine"), ("' \\n '", "mine")):
        in_folder(tmp_path / "own", mine=f"{docstring}\n{NEGATIVE}")
        assert main.main(["gadgets", "mine", "--gadgets", str(tmp_path / "own")]) == 0
        assert capsys.readouterr().out.startswith(f"mine: {shown}\n")
