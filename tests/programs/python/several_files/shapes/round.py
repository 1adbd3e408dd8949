import math
from dataclasses import dataclass

from . import base


@dataclass
class Circle:
    radius: float

    def area(self):
        return round(math.pi * self.radius**2, 3), base.__name__
