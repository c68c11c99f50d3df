"""Flagfiles by path or by the name of a recipe that comes with the package.

absl reads flagfiles too, but looks for every one, also for one that a flagfile includes, in the
current folder. Here `--flagfile` is replaced by what the file says before absl sees it:
1. `--flagfile=quickstart` names a recipe, from any folder.
2. An included flagfile is looked for beside the file that includes it.
3. An indented `#` or `//` is a comment too; a flagfile that includes itself is an error.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from efficientnet_tf.config import UserError, unknown_name

_SUFFIX = ".flags"
_DIRECTIVE = re.compile(r"--?flagfile(?:(?:=|\s+)(?P<name>.*))?")


def recipes() -> dict[str, Path]:
    """The flagfiles of the package by name, `{"quickstart": path, ...}`.

    A wheel has them inside the package, a checkout beside it.
    """
    package = Path(__file__).parents[1]
    folders = (package / "flags", package.parent / "flags")
    folder = next((folder for folder in folders if folder.is_dir()), folders[0])
    return {path.stem: path for path in sorted(folder.glob(f"*{_SUFFIX}"))}


def resolve_arguments(arguments: Sequence[str]) -> list[str]:
    """A command line in which each `--flagfile` is replaced by the arguments of the file.

    Args:
      arguments: without the program's name. What follows `--` is left as it is.

    Raises:
      UserError: no such file or recipe, a file that is not text or that includes itself.
    """
    resolved: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*resolved, argument, *rest]
        directive = _DIRECTIVE.fullmatch(argument)
        if directive is None:
            resolved.append(argument)
            continue
        name = directive["name"]
        if name is None and rest:  # `--flagfile NAME`
            name = rest.pop(0)
        resolved += _read(_find(name, [Path()], argument), including=())
    return resolved


def _read(path: Path, including: tuple[Path, ...]) -> list[str]:
    """The arguments in a flagfile, those of the flagfiles that it includes in their place.

    Args:
      including: the files that led here, resolved, the outermost first.
    """
    chain = (*including, path.resolve())
    if chain[-1] in including:
        circle = " includes ".join(link.name for link in chain[chain.index(chain[-1]) :])
        raise UserError(f"--flagfile={path}: {circle}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"--flagfile={path} is not a text file") from None
    arguments: list[str] = []
    for line in map(str.strip, lines):
        if not line or line.startswith(("#", "//")):
            continue
        if directive := _DIRECTIVE.fullmatch(line):
            included = _find(directive["name"], _include_folders(path, directive["name"]), path)
            arguments += _read(included, chain)
        else:
            arguments.append(line)
    return arguments


def _include_folders(path: Path, name: str | None) -> list[Path]:
    """Where a flagfile may mean an included one to be: beside it first, then as absl has it.

    The recipes name each other from the folder above theirs, `flags/imagenet-b0.flags`: a copy of
    that folder is whole, wherever it lies and from wherever it is used.
    """
    folder = path.resolve().parent
    above = [folder.parent] if name and Path(name).parts[:1] == (folder.name,) else []
    return [folder, *above, Path()]


def _find(name: str | None, folders: Sequence[Path], where: object) -> Path:
    """The file that `name` means: in one of `folders`, or a recipe.

    Args:
      where: what asks for it, for the error.
    """
    if not name or not name.strip():
        raise UserError(f"{where}: --flagfile needs the path of a file or the name of a recipe")
    path = Path(name.strip()).expanduser()
    for folder in folders:
        if (folder / path).is_file():
            return folder / path
    known = recipes()
    stem = path.name.removesuffix(_SUFFIX)
    if stem in known and path.parent in (Path(), Path("flags")):
        return known[stem]
    raise UserError(f"--flagfile={name}: no such file; {unknown_name('recipe', stem, known)}")
