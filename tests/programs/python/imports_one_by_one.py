# What an import brings along is the same whether or not the module was waiting on the shelf.
import os
import sys

NAMES = """
abc argparse array ast asyncio base64 bisect calendar cmath collections collections.abc concurrent.futures
configparser contextlib copy csv ctypes dataclasses datetime decimal difflib enum fractions functools glob
gzip hashlib heapq html http.client importlib importlib.metadata importlib.util inspect io itertools json logging math
multiprocessing numbers operator pathlib pickle platform pprint queue random re secrets select selectors
shutil signal socket sqlite3 statistics string struct subprocess tempfile textwrap threading time traceback types
typing unittest unittest.mock urllib.parse urllib.request uuid warnings weakref xml.etree.ElementTree zipfile zlib
""".split()

for name in NAMES:
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        before = set(sys.modules)
        module = __import__(name, fromlist=["*"])
        print(name, sorted(set(sys.modules) - before), len(dir(module)))
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
