"""Every error that snrstream raises on purpose.

SnrstreamError
+-- ConfigurationError   a stream configuration, gadget, property or option that cannot be used
|   +-- UnknownPipeline  the name of a pipeline that does not exist
+-- ScanError            a scan (header or data) that cannot be reconstructed as configured
+-- ProtocolError        bytes on the wire that are not a session of ISMRMRD messages
+-- ConnectionFailed     a peer that is not there, went away or reported a failure
+-- OutputsMissing       files that could not be written, beside others that were
+-- ModelError           a model folder, manifest or file that cannot be trusted or run
    +-- ModelTimeout     one that did not load or answer within its time limit

Their text is one line that names what, got and expected: it is what a user sees, on the
terminal or in the client's console.
"""


class SnrstreamError(Exception):
    """Base of all expected failures; anything else that escapes is a defect.

    What a text cites of files and peers may hold anything: what would steer a terminal, or break XML, is escaped.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


def printable(text: str) -> str:
    """The text with all that cannot be shown in a line written as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class ConfigurationError(SnrstreamError):
    """A stream configuration, gadget, property or command line option cannot be used."""


class UnknownPipeline(ConfigurationError):
    """No pipeline has this name: whoever gave it mistyped it."""


class ScanError(SnrstreamError):
    """The header or the data of a scan cannot be reconstructed as configured."""


class ProtocolError(SnrstreamError):
    """The bytes of a peer are not a session of ISMRMRD messages."""


class ConnectionFailed(SnrstreamError):
    """A peer is not listening, went away in mid-scan or reported a failure."""


class OutputsMissing(SnrstreamError):
    """Some outputs of a reconstruction could not be made; the others were.

    Parameters
    ----------
    text : str
        Which, and why.
    names : tuple of str
        The missing ones, as they would lie in the folder.
    """

    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        super().__init__(text)
        self.names = names


class ModelError(SnrstreamError):
    """A model's folder, manifest or file is missing, does not match or does not run."""


class ModelTimeout(ModelError):
    """A model did not load or answer within its time limit."""
