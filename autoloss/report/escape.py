"""Names as text: characters to which a format gives a meaning are escaped, in each its own way."""

from __future__ import annotations

import re

# Where they mean something: `_` within a word, `<` before a space and `[1, 2]` are text already.
MARKDOWN = re.compile(
    r"[\\`*|~$]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\](?=[(\[])|(?<![^\W_])_|_(?![^\W_])"
)
LATEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "±": "$\\pm$",
    **{c: f"$^{{{n}}}$" for n, c in enumerate("¹²³⁴⁵⁶⁷⁸⁹", start=1)},
    "ξ": "$\\xi$",
    "≥": "$\\geq$",
    "<": "$<$",
    ">": "$>$",
}


def markdown(text: str) -> str:
    """In a line or a cell of GitHub's Markdown."""
    return MARKDOWN.sub(r"\\\g<0>", one_line(text))


def latex(text: str) -> str:
    """In LaTeX, outside of mathematics; letters beyond ASCII are left to its input encoding."""
    return "".join(LATEX.get(character, character) for character in one_line(text))


def mathtext(text: str) -> str:
    """In a text of matplotlib that has mathematics beside it."""
    return one_line(text).replace("$", r"\$")


def one_line(text: str) -> str:
    """Without ends of lines and other control characters, which end a cell or a command."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", text)
