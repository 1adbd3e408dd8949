process.on('SIGUSR2', (signal, number) => console.log(signal, number));
process.once('SIGINT', () => {
  console.log('interrupted');
  process.exit(130);
});
process.kill(process.pid, 'SIGUSR2');
setTimeout(() => process.kill(process.pid, 'SIGINT'), 20);
setTimeout(() => {}, 5000);
