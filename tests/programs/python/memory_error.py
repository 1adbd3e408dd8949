try:
    bytearray(1 << 62)
except MemoryError as error:
    print("no memory", error)
x = "a" * (1 << 60)
