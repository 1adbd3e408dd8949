const fs = require('fs')
const x = Buffer.alloc(65536, 'x')
const y = Buffer.alloc(65536, 'y')
while (true) {
  fs.writeSync(1, x)
  fs.writeSync(2, y)
}
