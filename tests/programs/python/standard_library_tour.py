import base64
import collections
import csv
import datetime
import decimal
import fractions
import functools
import hashlib
import heapq
import io
import itertools
import json
import math
import pathlib
import random
import re
import sqlite3
import statistics
import string
import struct
import sys
import tempfile
import textwrap
import time
import typing
import urllib.parse
import uuid
import zlib
import zoneinfo

random.seed(42)
print(random.random(), random.sample(range(100), 5), random.gauss(0, 1))
print(json.dumps({"b": [1, 2.5, None, True], "a": "ü"}, sort_keys=True, indent=2))
print(re.findall(r"(\w+)@(\w+)", "ada@home bob@work"), re.sub(r"\s+", "-", "a  b c"))
print(datetime.date(2024, 2, 29) + datetime.timedelta(days=365), datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc))
print(datetime.datetime(2024, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Zurich")))
print(collections.Counter("mississippi").most_common(2), collections.OrderedDict(a=1), collections.deque([1, 2], 1))
print(decimal.Decimal("0.1") + decimal.Decimal("0.2"), fractions.Fraction(1, 3) + 1, math.isclose(0.1 + 0.2, 0.3))
print(hashlib.sha256(b"petri").hexdigest(), base64.b64encode(b"petri"), zlib.crc32(b"petri"))
print(list(itertools.permutations("abc", 2)), functools.reduce(lambda a, b: a * b, range(1, 10)))
print(statistics.stdev([1, 2, 3, 4]), heapq.nsmallest(2, [3, 1, 2]), struct.pack(">IH", 1, 2))
print(string.Template("$a").substitute(a=1), textwrap.fill("word " * 30, 40), urllib.parse.urlencode({"q": "a b"}))
print(list(csv.reader(io.StringIO('a,"b,c"\n'))), uuid.uuid5(uuid.NAMESPACE_DNS, "petri"), pathlib.Path("a/b.txt").suffix)
database = sqlite3.connect(":memory:")
database.execute("create table t (a, b)")
database.executemany("insert into t values (?, ?)", [(1, "x"), (2, "y")])
print(database.execute("select sum(a), group_concat(b) from t").fetchall())
with tempfile.TemporaryDirectory() as directory:
    pathlib.Path(directory, "f").write_text("temp")
    print([path.name for path in pathlib.Path(directory).iterdir()])
print(typing.get_type_hints(lambda: None), typing.Optional[int], time.strftime("%Y", time.gmtime(0)), sys.byteorder)
