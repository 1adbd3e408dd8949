// More than a pipe holds, without ever touching process.stdout: the descriptor must still block.
const fs = require('fs');
const line = 'x'.repeat(999) + '\n';
for (let i = 0; i < 500; i++) {
  fs.writeSync(1, line);
  fs.writeSync(2, line);
}
