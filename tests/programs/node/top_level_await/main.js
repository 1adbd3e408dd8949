const { setTimeout: sleep } = await import('node:timers/promises');
console.log(await sleep(5, 'slept'));
