"""How gadgets are driven: one item after the other, and with no control among them."""

from collections.abc import Iterator

import ismrmrd
import pytest

from snrstream.errors import ConnectionFailed, ScanError
from snrstream.gadgets.gadget import Gadget, Scan, each, run, stream
from snrstream.items import Item
from snrstream.wire.messages import Pause
from tests.scans import NO_HEADER


class Late(Gadget):
    """Hands each acquisition on behind the next, or at a pause, or when the scan fails or ends; it holds one back."""

    def __init__(self) -> None:
        self.held: list[Item] = []
        self.closed = False

    def take(self, item: Item) -> Iterator[Item]:
        assert isinstance(item, ismrmrd.Acquisition), "control is none of a gadget's business"
        before, self.held = self.held, [item]
        yield from before

    def pause(self) -> Iterator[Item]:
        before, self.held = self.held, []
        yield from before

    end = failed = pause

    def close(self) -> None:
        self.closed = True


class Module:
    """A gadget's module: the gadget of its latest scan is at hand."""

    Parameters = dict

    def start(self, _scan: Scan, _parameters: dict) -> Late:
        self.gadget = Late()
        return self.gadget


def lines(n: int) -> list[ismrmrd.Acquisition]:
    return [ismrmrd.Acquisition() for _ in range(n)]


def test_a_pause_lets_go_of_what_is_held_back_and_goes_on_behind_it() -> None:
    first, second = lines(2)
    pause = Pause()
    out = list(stream(Module(), [first, pause, second], Scan(NO_HEADER), {}))
    assert len(out) == 3 and out[0] is first and out[1] is pause and out[2] is second


def test_the_next_item_is_taken_when_what_follows_from_the_last_has_left() -> None:
    taken = []

    def source() -> Iterator[ismrmrd.Acquisition]:
        for line in lines(4):
            taken.append(line)
            yield line

    for n, item in enumerate(run(Module(), source(), NO_HEADER)):
        assert item is taken[n] and len(taken) == min(n + 2, 4)


@pytest.mark.parametrize(
    ("error", "n_left"),
    [
        (ScanError("no more"), 2),
        (RuntimeError("a defect"), 2),
        (MemoryError("too large"), 2),
        (ConnectionFailed("gone"), 1),
    ],
)
def test_where_the_source_fails_what_is_finished_leaves_if_anybody_is_there(error: Exception, n_left: int) -> None:
    def source() -> Iterator[ismrmrd.Acquisition]:
        yield from lines(2)
        raise error

    module, out = Module(), []
    with pytest.raises(type(error), match=str(error)):
        out.extend(run(module, source(), NO_HEADER))
    assert len(out) == n_left and module.gadget.closed


def test_a_gadget_is_closed_when_nobody_asks_for_more() -> None:
    module = Module()
    items = run(module, lines(3), NO_HEADER)
    next(items)
    assert not module.gadget.closed
    items.close()
    assert module.gadget.closed


def test_a_function_of_one_kind_of_item_is_a_gadget() -> None:
    line, waveform, other = ismrmrd.Acquisition(), ismrmrd.Waveform(), ismrmrd.Acquisition()
    gadget = each(ismrmrd.Acquisition, lambda _line: other)
    assert [*gadget.take(line), *gadget.take(waveform)] == [other, waveform]


def test_a_warning_joins_those_before_and_units_once_lost_stay_lost() -> None:
    scan = Scan(NO_HEADER, ("of the console",))
    scan.warn("raw units", snr_units=False)
    scan.warn("another")
    assert scan.warnings == ("of the console", "raw units", "another") and not scan.snr_units
