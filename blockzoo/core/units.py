"""Numbers, bytes and seconds as people read them. One multiply-add is one MAC; bytes go by powers of 1024.

Tables and messages differ in how many digits they show, so there are several of a kind here.
"""

from __future__ import annotations

import math

BYTES = ("B", "KiB", "MiB", "GiB")
PREFIXES = (("G", 10**9), ("M", 10**6), ("k", 10**3))


def number(value: float | str | None) -> str:
    """A number short enough to read; a text as it is.

    Examples:
        >>> number(1_295_000_000), number(12_400), number(72_593.3), number(9_999), number(2.3333333), number(None)
        ('1.29 G', '12.4 k', '72.6 k', '9,999', '2.333', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or float(value).is_integer() or 9_999 < abs(value) < math.inf:
        for unit, size in PREFIXES:
            if abs(value) >= 10 * size or (unit != "k" and abs(value) >= size):
                return (
                    f"{value / size:.3g} {unit}"
                    if abs(value) < 1000 * size
                    else f"{value / size:,.0f} {unit}"
                )
        return f"{value:,.0f}"
    return f"{value:.4g}"


def exact(value: float) -> str:
    """As few digits as give the same number when they are read again, at least six where there are so many.

    Examples:
        >>> exact(1.0), exact(1 / 3), exact(1_234_567), exact(0.1 + 0.2)
        ('1', '0.3333333333333333', '1234567', '0.30000000000000004')
    """
    texts = (f"{value:.{digits}g}" for digits in range(6, 18))
    return next((text for text in texts if float(text) == value), str(value))


def scaled(value: float | None, unit: float) -> str:
    """A number in a column whose heading names the unit: three digits, or all before the point.

    Examples:
        >>> scaled(12_516_352, 1e6), scaled(123_456_789, 1e4), scaled(None, 1)
        ('12.5', '12,346', '-')
    """
    if value is None:
        return "-"
    amount = value / unit
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:.3g}"


def engineering(value: float) -> str:
    """A tick of an axis.

    Examples:
        >>> engineering(50_000_000), engineering(0.5)
        ('50 M', '0.5')
    """
    for unit, size in PREFIXES:
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def size(count: float | None) -> str:
    """Bytes to four digits.

    Examples:
        >>> size(1000), size(123_456), size(2**40), size(None)
        ('1000 B', '120.6 KiB', '1024 GiB', '-')
    """
    if count is None:
        return "-"
    amount, unit = _binary(count)
    return f"{amount:.4g} {unit}"


def aligned_size(count: float) -> str:
    """Bytes with as many decimals as others of the same unit, at most MiB: they stand below each other.

    Examples:
        >>> aligned_size(12), aligned_size(123_456), aligned_size(2**30)
        ('12 bytes', '120.6 KiB', '1024.00 MiB')
    """
    amount, unit = _binary(count, largest="MiB")
    return {"B": f"{amount:.0f} bytes", "KiB": f"{amount:.1f} KiB"}.get(unit, f"{amount:.2f} MiB")


def rough_size(count: int) -> str:
    """Bytes in whole units, below ten with one decimal.

    Examples:
        >>> rough_size(12), rough_size(1536), rough_size(123_456)
        ('12 B', '1.5 KiB', '121 KiB')
    """
    amount, unit = _binary(count)
    if unit == "B":
        return f"{count} B"
    return f"{amount:,.0f} {unit}" if amount >= 10 else f"{amount:.1f} {unit}"


def gib(count: float) -> str:
    """Bytes of memory or of a disk.

    Examples:
        >>> gib(5 * 2**28)
        '1.2 GiB'
    """
    return f"{count / 2**30:.1f} GiB"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, as short as they can be.

    Examples:
        >>> duration(59.6), duration(3_725)
        ('1 min 00 s', '1 h 02 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _binary(count: float, largest: str = BYTES[-1]) -> tuple[float, str]:
    """An amount below 1024 and its unit, which is at most `largest`."""
    amount, unit = float(count), BYTES[0]
    for unit in BYTES:
        if amount < 1024 or unit == largest:
            break
        amount /= 1024
    return amount, unit
