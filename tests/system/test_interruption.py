"""What a signal comes to where a library makes another error of it."""

import signal

import pytest

from snrstream.cli import main
from snrstream.errors import ScanError
from snrstream.system import interruption


@pytest.mark.parametrize("error", [ScanError("no such scan"), ImportError("initialization failed")])
def test_the_status_is_that_of_the_signal(error: Exception, monkeypatch, capsys) -> None:
    def results(_options):
        try:
            interruption.interrupt(signal.SIGINT, None)
        except KeyboardInterrupt:
            raise error from None

    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(interruption, "_here", type("Here", (), {})())
    monkeypatch.setattr(main, "_results", results)
    try:
        assert main.main(["models", "list"]) == 130
    finally:
        for each, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(each, handler)
    assert capsys.readouterr().err.splitlines()[-1] == "snrstream: interrupted by SIGINT"
