from __future__ import annotations

import typing
from typing import Generic, NamedTuple, Protocol, TypeVar

T = TypeVar("T")


class Box(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item


class Named(NamedTuple):
    a: int
    b: str = "x"


@typing.runtime_checkable
class HasItem(Protocol):
    item: int


print(Box[int], Named(1), isinstance(Box(1), HasItem), typing.get_type_hints(Named), Named.__module__)
match Named(2, "y"):
    case Named(a=2, b=text):
        print("matched", text)
