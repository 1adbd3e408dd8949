"""What one row of the table can say: which system calls, what becomes of them, and with which arguments."""

from __future__ import annotations

import enum
from dataclasses import dataclass

#: The kernel reads arguments of C's int as 32 bits, whatever the upper half of the register holds. Whoever compares all
#: 64 lets a caller through who puts rubbish there.
INT = (1 << 32) - 1
POINTER = (1 << 64) - 1


class Action(enum.Enum):
    """What a caller gets: the call itself, or an error without the kernel's having looked at it."""

    ALLOW = "allow"
    EPERM = "EPERM"  # what it would be told anyway: somebody without privileges may not
    ENOSYS = "ENOSYS"  # as if the kernel were an older one: libraries then take the way that they took before
    EINVAL = "EINVAL"  # as if it did not work on these files: libraries then copy by reading and writing


@dataclass(frozen=True, slots=True)
class Argument:
    """That argument `index`, as far as `mask` lets it be seen, equals `value`."""

    index: int
    value: int
    mask: int = INT

    def __post_init__(self) -> None:
        if not 0 <= self.index < 6 or not 0 <= self.value <= self.mask <= POINTER or self.value & ~self.mask:
            raise ValueError(f"{self} can never be so")


#: Arguments that have to be as described all at once.
Case = tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """System calls that are treated alike for one reason. With `cases`: allowed in any of these, else EPERM."""

    name: str
    action: Action
    reason: str
    calls: tuple[str, ...]
    cases: tuple[Case, ...] = ()

    def __post_init__(self) -> None:
        if self.cases and self.action is not Action.ALLOW:
            raise ValueError(f"{self.name}: only what is allowed is allowed in some cases")
        for case in self.cases:
            # Engines read two conditions on one argument as "or" (runc), or refuse them.
            if not case or len({argument.index for argument in case}) < len(case):
                raise ValueError(f"{self.name}: every argument of a case is named once")


def other_than(index: int, value: int, below: int) -> tuple[Argument, ...]:
    """Arguments, any one of which matches, that cover all of 0 to `below` - 1 but `value`.

    Filters know no masked "not equal". For each bit there is one block of numbers that agree with `value` above it and
    differ in it. `below` is a power of two.
    """
    if below & (below - 1) or not 0 <= value < below:
        raise ValueError(f"{value} of {below}")
    bits = [1 << bit for bit in range(below.bit_length() - 1)]
    return tuple(Argument(index, (value ^ bit) & ~(bit - 1), INT & ~(bit - 1)) for bit in bits)
