"""A Python that has imported what takes seconds, and forks for each process that a test starts.

    python -P forked_python.py serve SOCKET                         a descriptor that listens; until stdin ends
    python -I -S forked_python.py start ADDRESS -m snrstream ...    as `python -m snrstream ...`, in a tenth of the time

The one that starts is the process that the test sees: it gives the other its arguments, environment, folder and open
descriptors, passes on SIGTERM and SIGINT, and ends as the fork ends. If it is killed, so is the fork. What is imported
beforehand is of others; snrstream itself is imported by each fork anew.
"""

import atexit
import contextlib
import gc
import marshal
import os
import signal
import socket
import sys

Request = tuple[list[str], dict[str, str], str, list[int]]  # arguments, environment, folder, open descriptors below 3


def start(address: str, arguments: list[str]) -> int:
    """Have a process forked, and wait for it; its status, negative for a signal."""
    standard = [fd for fd in range(3) if _is_open(fd)]  # before the socket takes the number of one that is closed
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(address)
        request: Request = (arguments, dict(os.environ), os.getcwd(), standard)
        data = marshal.dumps(request)
        socket.send_fds(server, [len(data).to_bytes(8, "little")], standard)
        server.sendall(data)
        pid = _number(server)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        while _first_ready(server.fileno(), seconds=1) is None:
            pass  # Python answers a signal that came just before a wait once that wait is over
        return _number(server)


def serve(descriptor: int) -> Request:
    """Fork for each request; it returns in the forks alone."""
    with socket.socket(fileno=descriptor) as listener:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # of those that wait for a fork: nobody asks for their status
        while _first_ready(listener.fileno(), 0) != 0:
            client, _ = listener.accept()
            if os.fork():
                client.close()
            else:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listener.close()
                return _forked(client)
    sys.exit()


def _forked(client: socket.socket) -> Request:
    """The request of a client, in a process with its descriptors; its parent waits for the end."""
    head, descriptors, *_ = socket.recv_fds(client, 8, 3)
    data = bytearray()
    while len(data) < int.from_bytes(head, "little"):
        data += client.recv(1 << 16)
    request: Request = marshal.loads(data)  # noqa: S302 of the tests' own process
    lives, ended = os.pipe()
    pid = os.fork()
    if pid:
        os.close(ended)
        client.sendall(pid.to_bytes(8, "little"))
        if _first_ready(lives, client.fileno()) == client.fileno():
            os.kill(pid, signal.SIGKILL)
        client.sendall(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]).to_bytes(8, "little", signed=True))
        os._exit(0)
    client.close()
    os.close(lives)
    given = dict(zip(request[3], descriptors, strict=True))
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if number in given:
            os.dup2(given[number], number)
            os.close(given[number])
            stream = open(number, mode, closefd=False, buffering=1 if name == "stderr" else -1)  # noqa: SIM115 for ever
            setattr(sys, name, stream)
        else:
            os.close(number)
            setattr(sys, name, None)
    return request


def run(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """What `python ARGUMENTS` does, of `-m MODULE ...`, `-c CODE ...` and `SCRIPT.py ...`."""
    import runpy
    from pathlib import Path

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[0:0] = [folder, *environment.get("PYTHONPATH", "").split(os.pathsep)]
    sys.orig_argv = [sys.executable, *arguments]
    kind, what, *rest = arguments
    # As Python starts, it runs the lines of .pth files: this one looks at the start line.
    exec(Path(__file__).parents[1].joinpath("gadgets/snrstream_gadgetron.pth").read_text())  # noqa: S102 our own
    if kind == "-m":
        sys.argv = [what, *rest]
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = [kind, *rest]
        exec(what, {"__name__": "__main__"})  # noqa: S102 of a test
    else:
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.abspath(kind))
        runpy.run_path(kind, run_name="__main__")


def _import_what_takes_long() -> None:
    """But not onnxruntime, whose thread would be lacking in a fork, and be waited for at its end."""
    import gadgetron.external.connection
    import h5py
    import ismrmrd.xsd
    import mrd
    import numba
    import PIL.Image
    import pydicom
    import scipy.fft
    import scipy.ndimage
    import torch
    import tqdm

    del gadgetron, h5py, ismrmrd, mrd, numba, PIL, pydicom, scipy, torch, tqdm


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _first_ready(*descriptors: int, seconds: float | None = None) -> int | None:
    """One that can be read from; None where none can in time."""
    import select

    ready = select.select(descriptors, [], [], seconds)[0]
    return ready[-1] if ready else None


def _number(server: socket.socket) -> int:
    data = server.recv(8, socket.MSG_WAITALL)
    return int.from_bytes(data, "little", signed=True) if len(data) == 8 else 1


def _leave_with_the_status_of(arguments: list[str], environment: dict[str, str], folder: str) -> None:
    """Run them; what else Python does at an end, half a second of tearing down what was imported, is left out."""
    status: object = 1
    atexit.register(lambda: os._exit(status if isinstance(status, int) else 1))  # the first, so the last that runs
    try:
        run(arguments, environment, folder)
        status = 0
    except SystemExit as end:
        status = end.code or 0
        raise
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()


if __name__ == "__main__":
    if sys.argv[1] == "start":
        status = start(sys.argv[2], sys.argv[3:])
        if status < 0:
            if -status != signal.SIGKILL:
                signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
        sys.exit(status)
    _import_what_takes_long()
    gc.freeze()  # what is imported is not looked at again in each fork
    _leave_with_the_status_of(*serve(int(sys.argv[2]))[:3])
