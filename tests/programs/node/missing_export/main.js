import { there, notThere } from './lib.mjs';
console.log(there, notThere);
