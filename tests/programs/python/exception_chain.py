class Broken(Exception):
    pass


def load():
    try:
        {}["key"]
    except KeyError as error:
        raise Broken("no such thing", 42) from error


try:
    load()
except Broken:
    raise ValueError("while cleaning up")
