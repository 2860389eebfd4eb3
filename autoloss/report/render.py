"""A table as Markdown and as LaTeX (booktabs)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from autoloss.report.escape import latex, markdown
from autoloss.report.table import DIRECTION, GLYPHS, Grid, Item, Table, marks_of

MARKDOWN_MARKS = {**GLYPHS, "star": "\\*"}
LATEX_MARKS = {
    "star": "$^{*}$",
    "worse": "$^{\\blacktriangle}$",
    "better": "$^{\\triangledown}$",
}
PACKAGES = "% \\usepackage{amssymb,booktabs,graphicx}\n"
# What is wider than the text is shrunk to it; \width is the table's own, of graphicx.
SHRUNK = "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%"
REFERENCE = re.compile(r" \(docs/[\w.#-]+\)")


def to_markdown(table: Table) -> str:
    """GitHub Markdown: a heading, what the table shows, its grids, and the notes."""
    parts = [f"### {markdown(table.title)}", *filter(None, [markdown(table.lead)])]
    for grid in table.grids:
        parts += [f"**{markdown(grid.caption)}**"] if grid.caption else []
        parts.append(_markdown_grid(grid))
    parts += [*_legend(table, MARKDOWN_MARKS, markdown), *map(markdown, table.notes)]
    return "\n\n".join(parts) + "\n"


def _markdown_grid(grid: Grid) -> str:
    heads = [markdown(f"{top} {name}".strip()) for top, name in grid.columns]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, *items in grid.rows:
        lines.append(f"| {_linked(name)} | {' | '.join(map(markdown_item, items))} |")
    return "\n".join(lines)


def markdown_item(item: Item) -> str:
    """A cell with its link, bold where it is the best, and its mark."""
    text = _linked(item)
    text = f"**{text}**" if item.bold else text
    marks = (MARKDOWN_MARKS[kind] + numbers for kind, numbers in marks_of(item.mark).items())
    return " ".join([text, *marks]).strip()


def _linked(item: Item) -> str:
    text = markdown(item.text)
    return f"[{text}]({item.href})" if item.href.startswith("/") else text


def to_latex(table: Table, label: str) -> str:
    """A `table*` per grid, below the packages that it needs; the notes stand below the last one.

    Classes that bring the symbols of amssymb with their fonts, as acmart does, need it no more.
    """
    lead, marks = map(latex, filter(None, [table.lead])), _legend(table, LATEX_MARKS, latex)
    below = [REFERENCE.sub("", note) for note in table.notes]  # a paper has no such pages
    notes = " ".join([*lead, *marks, *map(latex, below)])
    title = table.title.split(": ", 1)[-1]  # LaTeX numbers tables itself
    title = title[:1].upper() + title[1:]
    environments = []
    for k, grid in enumerate(table.grids, start=1):
        caption = latex(". ".join(filter(None, (title, grid.caption))))
        own = notes if k == len(table.grids) else ""
        environments.append(_latex_grid(grid, caption, f"tab:{label}-{k}", own))
    return PACKAGES + "\n".join(environments)


def _latex_grid(grid: Grid, caption: str, label: str, notes: str) -> str:
    rows = [[latex(name.text), *map(_latex_item, items)] for name, *items in grid.rows]
    lines = [
        "\\begin{table*}",
        "\\centering",
        "\\small",
        f"\\caption{{{caption}.}}",
        f"\\label{{{label}}}",
        SHRUNK,
        f"\\begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
        "\\toprule",
        *_latex_heads(grid),
        "\\midrule",
        *map(_latex_row, rows),
        "\\bottomrule",
        "\\end{tabular}}",
        *([f"\\par\\smallskip\n\\parbox{{\\textwidth}}{{\\footnotesize {notes}}}"] * bool(notes)),
        "\\end{table*}",
        "",
    ]
    return "\n".join(lines)


def _latex_heads(grid: Grid) -> list[str]:
    names = _latex_row(["", *(latex(name) for _, name in grid.columns)])
    if not grid.tops:
        return [names]
    tops, rules, start = [""], "", 2
    for top, width in grid.tops:
        tops.append(f"\\multicolumn{{{width}}}{{c}}{{{latex(top)}}}")
        rules += f"\\cmidrule(lr){{{start}-{start + width - 1}}}"
        start += width
    return [_latex_row(tops), rules, names]


def _latex_row(texts: Sequence[str]) -> str:
    return " & ".join(texts) + " \\\\"


def _latex_item(item: Item) -> str:
    text = latex(item.text)
    marks = (LATEX_MARKS[kind] + latex(numbers) for kind, numbers in marks_of(item.mark).items())
    return (f"\\textbf{{{text}}}" if item.bold else text) + "".join(marks)


def legend(
    meanings: Mapping[str, str], marks: Mapping[str, str], escaped: Callable[[str], str]
) -> list[str]:
    """What kinds of marks say, in one line; no line where there are none."""
    texts = [f"{marks[kind]} {escaped(text)}" for kind, text in meanings.items()]
    return ["; ".join(texts) + "."] if texts else []


def _legend(table: Table, marks: Mapping[str, str], escaped: Callable[[str], str]) -> Iterator[str]:
    """The legend of a table's marks, with what winning is."""
    for line in legend(table.legend, marks, escaped):
        yield f"{line} {DIRECTION}"
