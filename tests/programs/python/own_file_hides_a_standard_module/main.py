import json
import random

print(json.__file__, json.dumps({"a": 1}), random.VALUE)
