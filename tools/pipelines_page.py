"""Write into docs/pipelines.md what the gadgets say about their properties: python tools/pipelines_page.py."""

import argparse
from pathlib import Path

from snrstream.cli.gadgets import gadgets_page

PAGE = Path(__file__).resolve().parents[1] / "docs" / "pipelines.md"
BEGIN = "<!-- From here to the end mark: written by `python tools/pipelines_page.py` from the gadgets' Parameters -->"
END = "<!-- End mark -->"


def current(page: str) -> str:
    """The page with today's properties between its marks, each a line of its own."""
    before, _, rest = page.partition(f"{BEGIN}\n")
    _, _, after = rest.partition(f"{END}\n")
    return "\n".join([f"{before}{BEGIN}", "", *gadgets_page(), f"{END}\n{after}"])


def main() -> None:
    """Write the page anew."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    PAGE.write_text(current(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
