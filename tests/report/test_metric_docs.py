"""docs/metrics.md is what the metrics say of themselves."""

from toraeval import registry
from toraeval.report import metric_docs


def test_committed_page_is_current():
    assert metric_docs.DOCS.read_text(encoding="utf-8") == metric_docs.page(), (
        "run: python -m toraeval.report.metric_docs"
    )


def test_every_metric_is_explained_with_its_columns():
    page = metric_docs.page()
    for name in registry.names("metric"):
        assert f"\n## {name}\n" in page
        metric = registry.load("metric", name)()
        for column in metric.definition()["columns"]:
            column = column.replace(f"_{metric.backbone}", "_BACKBONE") if metric.backbone else column
            assert f"| `{column}` |" in page


def test_formulas_become_code_and_arguments_are_left_out():
    text = metric_docs.markdown("A distance.\n\n    d = |p - g|\n\nLower is better.\n\nArgs:\n    x: unused.")
    assert text == "A distance.\n\n```\nd = |p - g|\n```\n\nLower is better."
