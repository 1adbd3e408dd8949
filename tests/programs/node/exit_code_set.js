process.exitCode = 9;
process.on('exit', (code) => console.log('exit event', code, process.exitCode));
process.on('beforeExit', (code) => console.log('beforeExit event', code));
setTimeout(() => console.log('timer'), 5);
