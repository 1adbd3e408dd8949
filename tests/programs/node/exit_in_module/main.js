import { exit } from 'node:process';

console.log('before');
await null;
exit(6);
