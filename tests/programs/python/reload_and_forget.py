import importlib
import json
import sys

first = json
print(importlib.reload(json) is first)
del sys.modules["json"]
import json

print(json is first, json.dumps is first.dumps, json.loads("[1]"))
import random

print(sys.modules["random"] is random, random.__spec__.origin == random.__file__)
print(importlib.util.find_spec("datetime").origin, importlib.util.find_spec("no_such"))
import importlib.metadata

print([finder for finder in sys.meta_path][-1])
