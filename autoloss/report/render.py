"""A table's content as Markdown and as LaTeX (booktabs)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from autoloss.report.escape import latex, markdown
from autoloss.report.tables import MARKS, Block, Table, Text

MARKDOWN_MARKS = {"star": "\\*", "worse": "↓", "better": "↑", "": ""}
LATEX_MARKS = {"star": "$^{*}$", "worse": "$^{\\downarrow}$", "better": "$^{\\uparrow}$", "": ""}


def to_markdown(table: Table) -> str:
    """GitHub Markdown: a heading, one grid per block, and the notes."""
    parts = [f"### {markdown(table.title)}"]
    for block in table.blocks:
        if block.heading:
            parts.append(f"**{markdown(block.heading)}**")
        parts.append(_markdown_grid(block))
    parts += [*map(markdown, table.notes), *_legend(table, MARKDOWN_MARKS)]
    return "\n\n".join(parts) + "\n"


def _markdown_grid(block: Block) -> str:
    heads = [markdown(f"{top} {name}".strip()) for top, name in block.columns]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for name, row in block.rows:
        lines.append(f"| {markdown(name)} | " + " | ".join(map(_markdown_cell, row)) + " |")
    return "\n".join(lines)


def _markdown_cell(cell: Text) -> str:
    text = markdown(cell.text)
    text = f"**{text}**" if cell.bold else text
    return f"{text} {MARKDOWN_MARKS[cell.mark]}".strip()


def to_latex(table: Table, label: str) -> str:
    """A `table*` per block, for `\\usepackage{booktabs,graphicx}`; notes in the last caption."""
    notes = " ".join([*map(latex, table.notes), *_legend(table, LATEX_MARKS)])
    title = table.title.split(": ", 1)[-1]  # LaTeX numbers tables itself
    environments = []
    for k, block in enumerate(table.blocks):
        caption = latex(". ".join(filter(None, (title, block.heading))))
        if k == len(table.blocks) - 1:
            caption = f"{caption}. {notes}"
        environments.append(_latex_block(block, caption, f"tab:{label}-{k + 1}"))
    return "\n".join(environments)


def _latex_block(block: Block, caption: str, label: str) -> str:
    lines = [
        "\\begin{table*}",
        "\\centering",
        "\\small",
        f"\\caption{{{caption}}}",
        f"\\label{{{label}}}",
        "\\resizebox{\\textwidth}{!}{%",
        f"\\begin{{tabular}}{{l{'r' * len(block.columns)}}}",
        "\\toprule",
        *_latex_heads(block.columns),
        "\\midrule",
        *(_latex_row([latex(name), *map(_latex_cell, row)]) for name, row in block.rows),
        "\\bottomrule",
        "\\end{tabular}}",
        "\\end{table*}",
        "",
    ]
    return "\n".join(lines)


def _latex_heads(columns: Sequence[tuple[str, str]]) -> list[str]:
    # Beside our column "paper" is enough: the width of a page is scarce.
    short = [name.split(",")[0] if name.startswith("paper,") else name for _, name in columns]
    names = _latex_row(["", *map(latex, short)])
    if not any(top for top, _ in columns):
        return [names]
    tops, rules, start = [""], [], 2
    for top, group in groupby(columns, key=lambda column: column[0]):
        width = len(list(group))
        tops.append(f"\\multicolumn{{{width}}}{{c}}{{{latex(top)}}}")
        rules.append(f"\\cmidrule(lr){{{start}-{start + width - 1}}}")
        start += width
    return [_latex_row(tops), "".join(rules), names]


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + " \\\\"


def _latex_cell(cell: Text) -> str:
    text = latex(cell.text)
    return (f"\\textbf{{{text}}}" if cell.bold else text) + LATEX_MARKS[cell.mark]


def _legend(table: Table, marks: dict[str, str]) -> list[str]:
    """What the marks that occur mean, in one line."""
    used = {cell.mark for block in table.blocks for _, row in block.rows for cell in row}
    meanings = [f"{marks[mark]} {meaning}" for mark, meaning in MARKS.items() if mark in used]
    return ["; ".join(meanings) + "."] if meanings else []
