const fs = require('fs');
const received = fs.readFileSync(0);
console.log(received.length, received.toString('hex'));
