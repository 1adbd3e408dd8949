import sys

sys.exit("it did not work: ü")
