import fs from 'node:fs';
console.log(process.env.NODE_ENV, process.argv, import.meta.url, fs.readdirSync('.'));
