const held = []
while (true) held.push(Buffer.alloc(8 << 20, 1))
