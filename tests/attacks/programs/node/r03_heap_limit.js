const held = []
while (true) held.push({ held: new Array(1000).fill(held.length) })
