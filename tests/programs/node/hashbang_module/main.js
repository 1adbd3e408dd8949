#!/usr/bin/env node
import os from 'node:os';
console.log(typeof os.cpus);
