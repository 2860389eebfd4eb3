"""One style for all figures: sizes of a two-column paper, and every method's look.

A file of the user's own can set the font, the sizes, and colours and markers by method. Figures
read all of it here, and from matplotlib's settings, while `published_style` holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import matplotlib as mpl
from matplotlib.colors import CSS4_COLORS, is_color_like, to_hex
from matplotlib.font_manager import FontProperties, findfont, get_font_names
from matplotlib.lines import Line2D
from pydantic import Field

from autoloss.errors import ConfigError, require_known
from autoloss.folder import entries
from autoloss.methods.discover import discover
from autoloss.names import varied
from autoloss.report.figures._looks import Look, known, look_of
from autoloss.strict import Number, Strict, load_yaml

PAGE = 7.0  # inches: both columns
NARROW = 5.0
GREY, LIGHT = "#7f7f7f", "#d9d9d9"
FONT = "DejaVu Sans"  # comes with matplotlib: the same glyphs everywhere
Points = Annotated[Number, Field(gt=0, le=72)]


class Sizes(Strict):
    """In points; of text the others follow from `text` where they are left out."""

    text: Points = 7.0
    title: Points | None = Field(default=None, description="text + 0.5 if left out")
    ticks: Points | None = Field(default=None, description="and the legend; text - 0.5 if left out")
    notes: Points | None = Field(default=None, description="within a panel; text - 1 if left out")
    line: Points = 1.2
    marker: Points = 4.0

    @property
    def settings(self) -> dict[Any, float]:
        """Matplotlib's settings of these names."""
        title, ticks = self.title or self.text + 0.5, self.ticks or self.text - 0.5
        return {
            "font.size": self.text,
            "axes.labelsize": self.text,
            **dict.fromkeys(("axes.titlesize", "figure.titlesize"), title),
            **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), ticks),
            "lines.linewidth": self.line,
            "lines.markersize": self.marker,
        }


class Style(Strict):
    """How figures look: a font's name, sizes, and by method colours and markers."""

    font: str = FONT
    sizes: Sizes = Sizes()
    palette: dict[str, Any] = Field(default={}, description="colours, as matplotlib writes them")
    markers: dict[str, Any] = Field(default={}, description="as matplotlib writes them")

    def look(self, name: str) -> Look:
        """How a method or a candidate loss is drawn."""
        look, name = look_of(name), varied(name)
        if name in self.markers:
            look = look._replace(marker=self.markers[name], filled=True)
        return look._replace(colour=self.palette.get(name, look.colour))


_style: ContextVar[Style] = ContextVar("style", default=Style())  # noqa: B039 # frozen


def load_style(file: Path) -> Style:
    """The style in a YAML file.

    Raises:
        ConfigError: naming file and key: a key, a font, a method, a colour or a marker is unknown,
            or two methods would look alike.
    """
    style = load_yaml(file, Style)
    _require_font(style.font, f"{file}, key 'font'")
    for key, values in (("palette", style.palette), ("markers", style.markers)):
        require_known(values, known(), "method or loss", f"{file}, key '{key}'")
    for name, colour in style.palette.items():
        _require_colour(colour, f"{file}, key 'palette.{name}'")
    for name, marker in style.markers.items():
        if marker not in Line2D.filled_markers:
            mend = f"write one of {' '.join(Line2D.filled_markers)} in quotes"
            raise ConfigError(f"{file}, key 'markers.{name}'", f"{marker!r} is no marker", mend)
    _require_unlike(style, file)
    return style


def _require_font(font: str, where: str) -> None:
    try:
        findfont(FontProperties(family=font), fallback_to_default=False)
    except ValueError:
        near = get_close_matches(font, get_font_names(), n=1)
        usual = "DejaVu Sans, DejaVu Serif and STIXGeneral (as Times) come with matplotlib"
        mend = f"did you mean '{near[0]}'?" if near else f"install it, or take another: {usual}"
        raise ConfigError(where, f"there is no font '{font}' on this machine", mend) from None


def _require_colour(colour: Any, where: str) -> None:
    if isinstance(colour, str) and colour.lower() != "none" and is_color_like(colour):
        return
    near = get_close_matches(colour, CSS4_COLORS, n=1) if isinstance(colour, str) else []
    mend = "write a name, 'black', or a code, '#d55e00', in quotes: # begins a comment without"
    mend = f"did you mean '{near[0]}'?" if near else mend
    raise ConfigError(where, f"{colour!r} is no colour", mend)


def _require_unlike(style: Style, file: Path) -> None:
    changed, seen = {*style.palette, *style.markers}, dict[tuple[Any, ...], str]()
    for name in known():
        look = style.look(name)
        other = seen.setdefault((to_hex(look.colour), look.marker, look.filled), name)
        if other != name and {name, other} & changed:
            problem = f"'{other}' and '{name}' look alike"
            raise ConfigError(str(file), problem, "give one another colour or marker")


def colour(name: str) -> str:
    """A method's colour, or a candidate loss's."""
    return _style.get().look(name).colour


def points(name: str) -> dict[str, Any]:
    """How its marks look, as matplotlib takes it."""
    look = _style.get().look(name)
    inside = look.colour if look.filled else "white"
    return {"color": look.colour, "marker": look.marker, "markerfacecolor": inside}


def lines(name: str) -> dict[str, Any]:
    """How its lines look, with their marks."""
    return {**points(name), "linestyle": _style.get().look(name).dashes}


def note_size() -> float:
    """Of text within a panel, in points."""
    sizes = _style.get().sizes
    return sizes.notes or sizes.text - 1


def page_width() -> float:
    """How wide a figure is, in inches."""
    return float(mpl.rcParams["figure.figsize"][0])


def is_narrow() -> bool:
    """Whether a figure is about as wide as one column: panels then have room for little text."""
    return page_width() < NARROW


def per_line(count: int, least: float) -> int:
    """How many of `count` panels stand side by side, each at least so many inches wide.

    As many in each line, where they do not all fit in one.
    """
    fit = max(1, int(page_width() / least))
    return max(1, -(-count // -(-count // fit))) if count else 1


def loss_label(name: str) -> str:
    """What a candidate loss is called: as the method that uses it alone, if there is one.

    Else by its own label; by its name, where its file is gone.
    """
    methods, losses = discover(), entries("losses")
    if name in methods and methods[name].info.weights == "one candidate":
        return methods[name].info.label
    return losses[name].label if name in losses else name


@contextmanager
def published_style(style: Style | None = None, width: float = PAGE) -> Iterator[None]:
    """Within it, figures have the study's style or this one, whatever the user's own settings are.

    Args:
        style: of the user's own.
        width: of a figure, in inches.
    """
    style = style or Style()
    settings: dict[Any, Any] = {
        "figure.figsize": (width, 0.65 * width),
        "figure.titleweight": "bold",
        "font.family": [*dict.fromkeys([style.font, FONT])],  # for glyphs that the first lacks
        **style.sizes.settings,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.formatter.useoffset": False,
        "grid.color": LIGHT,
        "grid.linewidth": 0.4,
        "pdf.fonttype": 42,  # text stays text
        "svg.hashsalt": "autoloss",  # the same numbers give the same bytes
        "text.parse_math": False,  # names are text; who writes mathematics asks for it
        "savefig.dpi": 300,
        "figure.constrained_layout.use": True,
    }
    token = _style.set(style)
    try:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(settings)
            yield
    finally:
        _style.reset(token)
