"""Compare the versions that engines and distributions write, by what upstream released."""

from __future__ import annotations

import re
from typing import NamedTuple

_FORM = re.compile(r"(?:\d+:)?v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-~.]?(alpha|beta|rc)[-.]?(\d*))?")
_STAGES = {"alpha": 0, "beta": 1, "rc": 2}
_RELEASED = (3, 0)


class Version(NamedTuple):
    """An upstream version. A distribution's revision (`-1+deb12u1`) and repacking (`+dfsg1`, `~ds1`) are not in it."""

    major: int
    minor: int
    patch: int
    stage: tuple[int, int] = _RELEASED

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """From `1.1.5+ds1-1+deb12u1`, `5:28.5.2-1~debian.12~bookworm`, `v2.1.4`, `1.4.0-rc.3`; None if it is none."""
        if (found := _FORM.match(text.strip())) is None:
            return None
        major, minor, patch, stage, number = found.groups()
        return cls(int(major), int(minor), int(patch or 0), (_STAGES[stage], int(number or 0)) if stage else _RELEASED)

    @property
    def branch(self) -> tuple[int, int]:
        return self.major, self.minor


def is_fixed(version: Version, fixed_in: tuple[str, ...]) -> bool:
    """Whether a release has a fix that came out in `fixed_in`, one release per branch; later branches all have it."""
    fixes = sorted(fix for text in fixed_in if (fix := Version.parse(text)) is not None)
    return version >= fixes[-1] or any(version.branch == fix.branch and version >= fix for fix in fixes)
