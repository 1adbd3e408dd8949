for number in range(40_000):
    print(f"line {number:06d}")
