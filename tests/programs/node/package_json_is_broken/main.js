import os from 'node:os';
console.log(1);
