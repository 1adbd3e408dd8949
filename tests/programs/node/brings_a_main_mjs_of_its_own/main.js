import { value } from './main.mjs';

console.log(value, import.meta.url);
