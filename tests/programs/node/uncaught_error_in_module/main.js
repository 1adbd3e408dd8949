import { inner } from './inner.js';

console.log('before');
inner();
