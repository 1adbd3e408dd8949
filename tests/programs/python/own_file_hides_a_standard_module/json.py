def dumps(value):
    return "my own json"
