import os from 'node:os';

let y = = 2;
