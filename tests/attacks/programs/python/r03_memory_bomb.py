held = []
while True:
    held.append(bytearray(b"x" * (8 << 20)))
