import dataclasses

import pytest

from snrstream.chain.chain import parse_chain
from snrstream.chain.pipelines import named_chain
from snrstream.chain.registry import BUILT_IN
from snrstream.errors import ConfigurationError
from snrstream.gadgets import grappa, image_finish
from snrstream.system.resources import folder

GRAPPA = '<gadget name="grappa"/>'


def configuration(*gadgets: str) -> str:
    return f"<configuration>{''.join(gadgets)}</configuration>"


def test_all_shipped_pipelines_parse_with_and_without_their_ending() -> None:
    names = [path.stem for path in folder("pipelines").glob("*.xml")]
    assert {"grappa_snr", "grappa_denoise"} <= set(names)
    for name in names:
        assert named_chain(name) == named_chain(f"{name}.xml")


def test_properties_become_typed_parameters() -> None:
    chain = parse_chain(
        configuration('<gadget name="grappa"><property name="kernel_ro" value=" 7 "/></gadget>'), "test"
    )
    assert chain.steps[0] == ("grappa", grappa.Parameters(kernel_ro=7))


@pytest.mark.parametrize(
    ("last", "added"),
    [
        ("noise_adjust", []),
        ("accumulate", ["grappa", "coil_combine", "image_finish"]),
        ("compress_channels", ["grappa", "coil_combine", "image_finish"]),
        ("grappa", ["coil_combine", "image_finish"]),
        ("taper", ["coil_combine", "image_finish"]),
        ("coil_combine", ["image_finish"]),
        ("denoise", ["image_finish"]),
        ("image_finish", []),
    ],
)
def test_a_chain_goes_on_to_images(last: str, added: list[str], caplog) -> None:
    """Acquisitions may leave as they are; whoever named no image_finish gets complex images, as Gadgetron's."""
    caplog.set_level("INFO")
    steps = parse_chain(configuration(f'<gadget name="{last}"/>'), "mine").steps
    assert [name for name, _ in steps] == [last, *added]
    if "image_finish" in added:
        assert steps[-1][1] == image_finish.Parameters(output="complex", axes="kspace")
        assert f"mine ends with {last}: completed by {', '.join(added)}" in caplog.text
    else:
        assert caplog.text == ""


def test_a_gadgetron_stream_and_the_bare_configuration_mean_the_same() -> None:
    inner = configuration('<gadget name="accumulate"/>', '<gadget name="grappa"/>')
    execute = '<execute name="snrstream.gadgetron" target="chain" type="python"/>'
    connect = '<connect address="127.0.0.1" port="9002"/>'
    for link in (execute, connect):
        whole = (
            f"<configuration><version>2</version><stream><external>{link}{inner}</external></stream></configuration>"
        )
        assert parse_chain(whole, "whole") == parse_chain(inner, "bare")


def test_the_dialect_of_gadgetrons_older_clients() -> None:
    old = (
        '<gadgetronStreamConfiguration xmlns="http://gadgetron.sf.net/gadgetron"><reader><slot>1008</slot></reader>'
        "<writer><slot>1022</slot></writer><gadget><name>Acc</name><dll>snrstream</dll><classname>accumulate</classname>"
        "</gadget><gadget><name>grappa</name><property><name>kernel_ro</name><value>7</value></property></gadget>"
        "</gadgetronStreamConfiguration>"
    )
    grappa_7 = '<gadget name="grappa"><property name="kernel_ro" value="7"/></gadget>'
    new = configuration('<gadget name="accumulate"/>', grappa_7)
    assert parse_chain(old, "old") == parse_chain(new, "new")
    with pytest.raises(ConfigurationError, match="old: unknown gadget 'NoiseAdjustGadget'; known"):
        parse_chain(old.replace(">accumulate<", ">NoiseAdjustGadget<"), "old")


@pytest.mark.parametrize(
    ("xml", "match"),
    [
        ("<configuration>", "stream configuration test is not well-formed"),
        ("<other/>", "root element 'other'"),
        ("<configuration/>", "test names no gadget"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><configuration/>', "document type or entities"),
        (configuration('<gadget name="denoize"/>'), "unknown gadget 'denoize'; known: noise_adjust, epi, accumulate"),
        (configuration("<gadget><classname>FFTGadget</classname></gadget>"), "unknown gadget 'FFTGadget'"),
        (configuration("<gadgets/>"), "unknown element 'gadgets'"),
        (configuration('<gadget name="grappa"><property name="kernel" value="1"/></gadget>'),
         "gadget grappa in test: unknown property 'kernel'; known: kernel_e1, kernel_e2, kernel_ro, tikhonov, "),
        (configuration('<gadget name="grappa"><property name="kernel_ro" value="4"/></gadget>'), "odd number"),
        (configuration('<gadget name="grappa"><property name="kernel_ro" value="5.5"/></gadget>'),
         "kernel_ro is '5.5'; expected a whole number"),
        (configuration('<gadget name="grappa"><property name="kernel_ro"/></gadget>'), "other than <property"),
        (configuration('<gadget name="grappa"><property name="kernel_ro" value="5"/>'
                       '<property name="kernel_ro" value="7"/></gadget>'), "sets property 'kernel_ro' twice"),
        (configuration('<gadget name="denoise"><property name="alpha" value="1.5"/></gadget>'),
         "alpha is 1.5; expected a number from 0 to 1"),
        (configuration('<gadget name="denoise"><property name="alpha" value="nan"/></gadget>'), "from 0 to 1"),
        *((configuration(f'<gadget name="denoise"><property name="timeout_s" value="{value}"/></gadget>'),
           "timeout_s is") for value in ("0", "-1", "nan", "inf", "3601", "soon")),
        *((configuration(f'<gadget name="denoise"><property name="model" value="{name}"/></gadget>'),
           "gadget denoise in test: model .* is not a plain name; expected the name of a folder in models/")
          for name in ("../x", "a/b", "/x", "", "..")),
        (configuration('<gadget name="image_finish"><property name="output" value="png"/></gadget>'),
         "expected complex, or some of magnitude, real, imaginary, phase, with"),
        (configuration('<gadget name="image_finish"><property name="gmap" value="1"/></gadget>'), "true or false"),
        (configuration('<gadget name="image_finish"><property name="scale" value="0"/></gadget>'), "from 1e-6"),
        ("<configuration><stream><gadget><dll>x</dll><classname>RemoveROOversampling</classname></gadget></stream>"
         "</configuration>", "gadget RemoveROOversampling is not one of ours"),
        ('<configuration><stream><external><execute name="other.module" target="x" type="python"/></external></stream>'
         "</configuration>", "external module .*'other.module'.* cannot run here"),
        (configuration(GRAPPA, '<gadget name="accumulate"/>'), "expected each at most once, in this order"),
        (configuration(GRAPPA * 3000), "expected each at most once"),
        (configuration('<gadget name="coil_combine"><property name="window" value="255"/></gadget>'), "window is 255"),
        (configuration('<gadget name="image_finish"><property name="scale" value="inf"/></gadget>'), "scale is inf"),
        (f'<configuration><gadget name="noise_adjust"/><stream><external>{configuration(GRAPPA)}</external></stream>'
         "</configuration>", "gadget beside its stream"),
        (f"<configuration><stream><external>{configuration(GRAPPA)}{configuration(GRAPPA)}</external></stream>"
         "</configuration>", "an element twice"),
        (configuration(GRAPPA).encode("utf-16"), "expected UTF-8"),
    ],
)  # fmt: skip
def test_wrong_configurations(xml: str, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        parse_chain(xml, "test")


@pytest.mark.parametrize("name", ["../grappa_snr", "/etc/passwd", "a/b", "", ".", "..", "x\0y", 300 * "a"])
def test_names_cannot_leave_the_folder(name: str) -> None:
    with pytest.raises(ConfigurationError, match="not a plain name"):
        named_chain(name)


def test_the_environment_says_where_pipelines_lie(tmp_path, monkeypatch) -> None:
    (tmp_path / "mine.xml").write_text(configuration(GRAPPA))
    monkeypatch.setenv("SNRSTREAM_PIPELINES", str(tmp_path))
    assert named_chain("mine").steps[0][0] == "grappa"
    with pytest.raises(ConfigurationError, match="unknown pipeline 'grappa_snr'; known: mine"):
        named_chain("grappa_snr")


def test_unknown_pipeline_lists_the_known_ones() -> None:
    known = "grappa_denoise, grappa_denoise_volume, grappa_snr"
    with pytest.raises(ConfigurationError, match=f"unknown pipeline 'nope'; known: .*{known}"):
        named_chain("nope")


def test_every_gadget_has_a_module_with_parameters_and_start() -> None:
    for name in BUILT_IN.names:
        module = BUILT_IN.module(name)
        assert dataclasses.is_dataclass(module.Parameters)
        with pytest.raises(dataclasses.FrozenInstanceError):
            module.Parameters().anything = 1
        assert callable(module.start)
