import { name } from './lib.js';

console.log(name, import.meta.url);
throw new Error('line numbers, too');
