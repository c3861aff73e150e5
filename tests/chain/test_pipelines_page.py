"""The manual's page on pipelines tells of the gadgets as they are."""

import pipelines_page


def test_the_page_has_the_gadgets_of_today() -> None:
    page = pipelines_page.PAGE.read_text(encoding="utf-8")
    assert page.count(f"{pipelines_page.BEGIN}\n") == page.count(f"{pipelines_page.END}\n") == 1
    assert pipelines_page.current(page) == page, "docs/pipelines.md is stale: run python tools/pipelines_page.py"
