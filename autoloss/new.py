"""A new loss's or a new model's file, written from the template beside the others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from autoloss.config import LossOptions, ModelOptions
from autoloss.errors import ConfigError
from autoloss.folder import Info, files_of, read
from autoloss.methods.new import class_name, title_of
from autoloss.names import WORD_MEND, is_word
from autoloss.project import project_root

Room = Literal["losses", "models"]
OPTIONS = {"losses": LossOptions, "models": ModelOptions}


def write_entry(room: Room, name: str, root: Path | None = None) -> Path:
    """Write `autoloss/<room>/<name>.py` from the room's template; returns its path.

    Raises:
        ConfigError: `name` is taken, no lower-case Python name, or the template's option would
            have the name of another.
    """
    folder = (root or project_root()) / "autoloss" / room
    if not is_word(name):
        raise ConfigError("name", f"'{name}' cannot be named in a study", WORD_MEND)
    file = folder / f"{name}.py"
    if file.exists():
        raise ConfigError("name", f"'{name}' is taken", "choose another, or delete its file")
    text = (folder / "_template.py").read_text(encoding="utf-8")
    options = {word.replace("template", name, 1) for word in re.findall(r"\btemplate_\w+", text)}
    if alike := options & OPTIONS[room].model_fields.keys():
        raise ConfigError("name", f"'{alike.pop()}' is an option already", "choose another name")
    example = f"see the others in autoloss/{room}"
    title = title_of(name, (read(other, Info, example)[1].label for other in files_of(folder)))
    class_of = class_name(name, text, "Model")
    text = re.sub(r"\btemplate_(?=\w)", f"{name}_", text).replace('"Template"', f'"{title}"')
    file.write_text(text.replace("class Template", f"class {class_of}"), "utf-8")
    return file
