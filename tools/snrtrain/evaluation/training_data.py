"""What a model has seen in training, by its manifest: it is marked, and nothing is judged by it."""

from collections.abc import Iterable

from snrstream.denoising.model import Model

MARK = " (trained on)"


def is_known(file: str, models: Iterable[Model]) -> bool:
    """Whether one of the models was trained on a file of this name: its manifest has it as `NAME (LICENCE)`."""
    sources = [model.manifest.training.get("data") for model in models]
    texts = [text for known in sources if isinstance(known, list) for text in known]
    return any(isinstance(text, str) and (text == file or text.startswith(f"{file} (")) for text in texts)


def note(names: Iterable[str]) -> str:
    """A paragraph that tells of such volumes or scans, in the order given; empty where there are none."""
    listed = ", ".join(dict.fromkeys(names))
    return f"\n\nTrained on by the manifest, so that nothing is judged by it: {listed}." if listed else ""
