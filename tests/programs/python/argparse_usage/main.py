import argparse

parser = argparse.ArgumentParser(description="adds")
parser.add_argument("numbers", type=int, nargs="+")
parser.add_argument("--scale", type=float, required=True)
arguments = parser.parse_args()
print(sum(arguments.numbers) * arguments.scale)
