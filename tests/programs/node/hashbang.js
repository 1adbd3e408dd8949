#!/usr/bin/env node
console.log('with a hashbang');
throw new Error('on line 3');
