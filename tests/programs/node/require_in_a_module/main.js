import os from 'node:os';
const fs = require('fs');
console.log(fs, os);
