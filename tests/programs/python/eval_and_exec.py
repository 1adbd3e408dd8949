code = """
def f(x):
    return x / 0
"""
namespace = {}
exec(code, namespace)
print(eval("1 + 1"), sorted(namespace))
try:
    eval("1 +")
except SyntaxError as error:
    print(error, error.lineno, error.offset, error.text)
namespace["f"](1)
