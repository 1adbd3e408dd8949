class Odd(Exception):
    def __str__(self):
        raise ZeroDivisionError


class Spaced(Exception):
    def __str__(self):
        return "two\nlines 🧫"


try:
    raise Spaced
except Spaced:
    raise Odd
