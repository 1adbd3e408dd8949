console.log(process.argv.slice(1), process.execArgv);
console.log(require('util').parseArgs({ args: process.argv.slice(2, 3), options: { flag: { type: 'boolean' } } }));
