"""Where tensors live."""

import torch

from ..errors import ConfigurationError


def find_device(name: str) -> torch.device:
    """The device of a name.

    Parameters
    ----------
    name : str
        `auto` is the first CUDA GPU where there is one, else the CPU; others are torch's names.

    Raises
    ------
    ConfigurationError
        For a name that is none, and a device that this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    known = ["cpu", *(["cuda"] if n_gpus else []), *(f"cuda:{n}" for n in range(n_gpus))]
    if name not in known:
        raise ConfigurationError(f"device is {name!r}; here there are: auto, {', '.join(known)}")
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """A device for people: `cpu`, or such as `cuda:0 NVIDIA H200`."""
    return f"{device} {torch.cuda.get_device_name(device)}" if device.type == "cuda" else str(device)
