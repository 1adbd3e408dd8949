import copy
import pickle
from dataclasses import dataclass
from enum import Enum


class Colour(Enum):
    RED = 1


@dataclass
class Point:
    x: int
    colour: Colour


point = Point(1, Colour.RED)
print(pickle.dumps(point))
print(pickle.loads(pickle.dumps(point)) == point, copy.deepcopy(point), Point.__module__, repr(Colour.RED))
