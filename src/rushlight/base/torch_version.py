"""`torch.__version__`: a string that compares as a version, so that `"2.13.0" >= "2.4"` is true."""

from __future__ import annotations

import re
from typing import Any

_FORM = re.compile(r"v?(\d+(?:\.\d+)*)(?:[._-]?(dev|a|alpha|b|beta|c|rc|pre|preview|post)[._-]?(\d*))*(?:\+([\w.-]+))?", re.IGNORECASE)
_STAGES = {"dev": -4, "a": -3, "alpha": -3, "b": -2, "beta": -2, "c": -1, "rc": -1, "pre": -1, "preview": -1, "post": 1}


def _key(value: Any) -> tuple[Any, ...]:
    """What orders versions: the numbers without closing zeros, the stage before or after the release, the local part."""
    text = ".".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a version such as '2.13.0'")
    numbers = [int(n) for n in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    stage = (_STAGES[match[2].lower()], int(match[3] or 0)) if match[2] else (0, 0)
    return tuple(numbers), stage, tuple((part.isdigit(), part.zfill(12)) for part in re.split(r"[._-]", match[4] or "") if part)


class TorchVersion(str):
    """A version that compares with strings ("2.4") and tuples ((2, 4)) by value.

    >>> TorchVersion("2.13.0") >= "2.4"
    True
    """

    __slots__ = ()

    def _compare(self, other: Any, method: str) -> Any:
        if not isinstance(other, (str, tuple, list)):
            return NotImplemented
        try:
            return getattr(_key(self), method)(_key(other))
        except ValueError:  # not a version: compare the texts
            return getattr(str(self), method)(str(other))

    def __gt__(self, other: Any) -> bool:
        return self._compare(other, "__gt__")  # type: ignore[no-any-return]

    def __lt__(self, other: Any) -> bool:
        return self._compare(other, "__lt__")  # type: ignore[no-any-return]

    def __ge__(self, other: Any) -> bool:
        return self._compare(other, "__ge__")  # type: ignore[no-any-return]

    def __le__(self, other: Any) -> bool:
        return self._compare(other, "__le__")  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return self._compare(other, "__eq__")  # type: ignore[no-any-return]

    def __ne__(self, other: object) -> bool:
        found = self._compare(other, "__eq__")
        return found if found is NotImplemented else not found

    __hash__ = str.__hash__
