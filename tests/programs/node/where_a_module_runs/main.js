import fs from 'node:fs';
import { createRequire } from 'node:module';

console.log(import.meta.url, import.meta.filename, import.meta.dirname, import.meta.main, import.meta.resolve('./x.js'));
console.log(process.argv, process.cwd(), typeof require, typeof module, typeof __filename, this);
console.log(createRequire(import.meta.url)('os').EOL.length, fs.readdirSync('.'));
