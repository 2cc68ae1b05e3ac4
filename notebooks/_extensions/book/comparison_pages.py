"""A page for each comparison, made of its module: question, answer, figures, keys, settings, command."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from book.kept import Kept, find_kept
from book.project_pages import relinked
from comparisons.kit.comparison import Comparison, asker, captions
from comparisons.kit.keys import Quantity
from comparisons.kit.settings import choosing, help_of
from comparisons.kit.values import hints_of
from comparisons.report.numbers import in_words
from comparisons.runs.presets import as_flags
from comparisons.runs.registry import find, names
from lab.sweeps.cells import plain

FOLDER = "comparisons"


def pages(root: Path) -> dict[str, str | bytes]:
    """The page of every comparison, its picture where a notebook keeps one, and the list of all."""
    made: dict[str, str | bytes] = {f"{FOLDER}/index.md": _index()}
    for name in names():
        kept = find_kept(root / "notebooks", list(captions(find(name)).values()))
        picture = f"pictures/{name}.png"
        shown = f"\n\n![{name}](/{picture})" if (root / "notebooks" / picture).exists() else ""
        answer = stated(root, name) + shown
        made[f"{FOLDER}/{name}.md"] = page(name, find(name), answer, kept)
        made |= {f"{FOLDER}/{name}.png": kept.picture} if kept else {}
    return made


def _index() -> str:
    rows = [f"* [`{name}`]({name}.md): {find(name).question}" for name in names()]
    text = "Each page is made of the module that it is about: what it measures, and what its numbers mean."
    tree = ["```{toctree}", ":hidden:", "", *names(), "```", ""]
    return "\n".join(["# Comparisons", "", text, "", *rows, "", *tree])


def page(name: str, comparison: Comparison, answer: str, kept: Kept | None) -> str:
    """The page as Markdown.

    Parameters
    ----------
    name, comparison
        The module.
    answer
        What the README says about it; empty where it says nothing.
    kept
        The run of it that a notebook shows, if any.
    """
    parts = [
        f"# {name}\n\n**{comparison.question}**\n\nAsked by {asker(comparison)}.",
        _section("Answer", answer),
        _section("What is measured", _background(comparison)),
        _section("Run it", _commands(name, comparison)),
        _section("A small run", _small_run(name, kept) if kept else ""),
        _section("Figures", _definitions(captions(comparison))),
        _section("Numbers", _KEYS + _definitions(definitions(comparison))),
        _section("Settings", _settings(comparison)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _small_run(name: str, kept: Kept) -> str:
    """Picture, caption and verdict of the run in a notebook."""
    where = f"From the notebook [{kept.title}](/{kept.notebook}), which runs it at a small size."
    return f"{where}\n\n![{name}]({name}.png)\n\n{kept.text}"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{text}" if text else ""


def stated(root: Path, name: str) -> str:
    """The answer that the README's table has for a comparison; empty where it has none."""
    text = (root / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"^\|[^|]*\|[^|]*\|([^|]*)\| `lazylab run {name}` \|$", text, re.MULTILINE)
    if found is None:
        return ""
    answer = re.sub(r"\[(\d)\](?!\()", r"[[\1]](#references)", found[1].strip()).replace("](#", "](README.md#")
    return relinked(f"{answer} (With the preset `default`.)", root, root)


def _background(comparison: Comparison) -> str:
    """The module's docstring after its first line; a formula, which is indented, stays one."""
    return _as_markdown("\n".join(inspect.cleandoc(comparison.__doc__ or "").split("\n")[1:]).strip())


def _as_markdown(text: str) -> str:
    return text.replace("``", "`").replace("$", r"\$").replace("*", r"\*")


def _commands(name: str, comparison: Comparison) -> str:
    """The command, and what the presets are in flags."""
    lines = [f"lazylab run {name}"]
    for preset in comparison.PRESETS:
        if preset != "default":
            lines.append(f"lazylab run {name} --preset {preset}")
    rest = [f"* `{preset}` is `{' '.join(flags)}`" for preset, flags in _changes(comparison).items()]
    python = f'From Python it is `comparisons.run("{name}")`. In flags, presets differ from `default` by:'
    return "\n".join(["```sh", *lines, "```", "", python, "", *rest])


def _changes(comparison: Comparison) -> dict[str, list[str]]:
    """Flags that make each other preset of the default one."""
    usual = _values(comparison.PRESETS["default"])
    found = {name: _values(settings) for name, settings in comparison.PRESETS.items() if name != "default"}
    return {
        name: as_flags({field: value for field, value in values.items() if value != usual[field]})
        for name, values in found.items()
    }


def _values(settings: Any) -> dict[str, Any]:
    return {field: plain(getattr(settings, field)) for field in hints_of(type(settings))}


_KEYS = (
    "A key begins as below, may go on with what the number is of, such as a width, and ends with the name of an "
    "[arm](../glossary.md) other than the first one.\n\n"
)


def definitions(comparison: Comparison) -> dict[str, str]:
    """What each quantity that a module defines means, by the beginning of its keys."""
    found = (quantity for value in vars(comparison).values() for quantity in _quantities(value))
    return {".".join(quantity.parts): quantity.meaning for quantity in found}


def _quantities(value: object) -> Iterator[Quantity]:
    if isinstance(value, Quantity):
        yield value
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, (tuple, list)) else ()
    for each in inside:
        yield from _quantities(each)


def _definitions(meanings: Mapping[str, str]) -> str:
    """Names in code with their definitions, as a definition list."""
    return "\n\n".join(f"`{name}`\n: {_as_markdown(text)}" for name, text in meanings.items())


def _settings(comparison: Comparison) -> str:
    """Every setting with its default and its help; those that only choose cells are marked."""
    usual, grid = comparison.PRESETS["default"], choosing(comparison.Settings)
    lines = ["Those with a star may change in a run directory: they only choose cells.", ""]
    lines += ["| setting | preset `default` | meaning |", "|---|---|---|"]
    for name, hint in hints_of(comparison.Settings).items():
        star = r" \*" if name in grid else ""
        value, text = in_words(plain(getattr(usual, name))), _as_markdown(help_of(hint))
        lines.append(f"| `{name}`{star} | {_as_markdown(value)} | {text} |".replace("||", r"\|\|"))
    return "\n".join(lines)
