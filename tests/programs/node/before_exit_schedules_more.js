let turns = 0;
process.on('beforeExit', () => {
  if (turns++ < 2) setTimeout(() => console.log('turn', turns), 1);
});
