import sys


class Noisy:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print("gone:", self.name, sys is not None, print is not None)


a = Noisy("global a")
b = Noisy("global b")
cycle = Noisy("cycle")
cycle.itself = cycle
del cycle
print("main ends")
