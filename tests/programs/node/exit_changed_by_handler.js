process.on('exit', () => {
  process.exitCode = 4;
});
throw new Error('first');
