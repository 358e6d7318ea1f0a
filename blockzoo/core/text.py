"""Names and remarks are text wherever they are shown: nothing in them is obeyed by a terminal, a spreadsheet, page or picture.

A name may come from a file that others wrote. Each medium has one function here, and everything that is shown goes through it.
"""

from __future__ import annotations

import csv
import html
import io
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f"  # of terminals: escapes, the bell, the way back over what was written
    r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"  # of the order of letters, and other ends of lines
    r"\ud800-\udfff]"  # bytes of a file's name that are no text
)
_FORMULA = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_HARMLESS = re.compile(r"[A-Za-z0-9(][ -~]*")
_MARKDOWN = re.compile(r"[\\`*_{}\[\]<>|~$&#!]")


def plain(text: str, *, lines: bool = True) -> str:
    """For a terminal: what it would obey is written out, `\\x1b[31m`. Ends of lines stay, unless `lines` is off.

    It holds for pictures and pages too, whose formats forbid the same characters.
    """
    shown = _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
    return shown if lines else shown.replace("\n", "\\n").replace("\t", "\\t")


class PlainFormatter(logging.Formatter):
    """Messages of a log as text, whatever the names in them hold."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


def cell(value: object) -> object:
    """For CSV: a text that a spreadsheet would calculate begins with an apostrophe; `uncell` takes it away."""
    if not isinstance(value, str) or _HARMLESS.fullmatch(value):
        return value
    shown = plain(value.replace("\r\n", "\n"))
    return f"'{shown}" if _FORMULA.match(shown) and shown != "-" else shown


def uncell(text: str) -> str:
    """What a cell that `cell` wrote says."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def csv_text(rows: Iterable[Mapping[str, Any]], names: Iterable[str] | None = None) -> str:
    """Rows as CSV, empty where a value is not there.

    Args:
        rows: by column.
        names: of the columns; default all that the rows have.
    """
    rows = list(rows)
    return "".join(csv_lines(rows, names or dict.fromkeys(name for row in rows for name in row)))


def csv_lines(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> Iterator[str]:
    """The same row by row, the header first."""
    names, buffer = list(names), io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([cell(name) for name in names])
    for row in rows:
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
        values = map(row.get, names)
        writer.writerow([cell(v) if isinstance(v, str) else "" if v is None else v for v in values])
    yield buffer.getvalue()


def markdown(value: object) -> str:
    """For Markdown, in a cell of a table too: signs that mean something there are written as signs."""
    text = plain(str(value), lines=False)
    return _MARKDOWN.sub(_as_sign, text)


def _as_sign(match: re.Match[str]) -> str:
    before, after = match.string[: match.start()][-1:], match.string[match.end() :][:1]
    within_a_word = before.isalnum() and after.isalnum()
    return match[0] if match[0] == "_" and within_a_word else f"\\{match[0]}"


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "±": r"$\pm$", "×": r"$\times$", "µ": r"$\mu$", "²": r"$^2$", "\"": r"\textquotedbl{}",
}  # fmt: skip


def latex(value: object) -> str:
    """For LaTeX, in a cell of a table too: signs that mean something there are written as signs.

    Examples:
        >>> latex("38.4 ± 0.5 %, conv_1")
        '38.4 $\\\\pm$ 0.5 \\\\%, conv\\\\_1'
    """
    text = plain(str(value), lines=False)
    return "".join(_LATEX.get(letter, letter) for letter in text)


def page(text: str) -> str:
    """For HTML, as the content of an element or the value of an attribute."""
    return html.escape(plain(text), quote=True)


def script(value: object) -> str:
    """For a `<script>` of HTML: JSON in which no tag, comment or end of a line of JavaScript can begin."""
    return re.sub(
        r"[<>&\u2028\u2029]",
        lambda match: f"\\u{ord(match[0]):04x}",
        json.dumps(value, separators=(",", ":")),
    )


def picture(text: object) -> str:
    """For matplotlib, which takes what stands between two dollars for a formula, and leaves `_names` out of legends."""
    shown = plain(str(text)).replace("$", r"\$")
    return f"\u200b{shown}" if shown.startswith("_") else shown


def file_name(text: str) -> str:
    """For a part of a file's name: letters, digits and `_ . -`, never `.` or `..` alone."""
    return re.sub(r"[^A-Za-z0-9_.-]+|^\.+", "-", text)[:120] or "-"
