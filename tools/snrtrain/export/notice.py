"""The file NOTICE of a model's folder: to whom the data belong that the model was made of, and under which licence.

Some licences ask for their notice wherever a work made of theirs goes; this file goes with the model.
"""

from snrtrain.archive.archive import parts_of

NAME = "NOTICE"


def notice(name: str, version: str, data: tuple[str, ...], validated_on: str) -> str:
    """The text. data: what the model was trained on, each as `parts_of` takes it."""
    paragraphs = [
        f"{name} {version}",
        "This model was made of the data of others. None of them are in this folder; what they are, under which\n"
        "licence, and to whom they are to be attributed:",
    ]
    for source in data:
        what, licence, attribution = parts_of(source)
        lines = [what, f"    licence: {licence or 'not stated'}"]
        paragraphs.append("\n".join(lines + [f"    attribution: {attribution}"] * bool(attribution)))
    return "\n\n".join([*paragraphs, f"Validated on: {validated_on}"]) + "\n"
