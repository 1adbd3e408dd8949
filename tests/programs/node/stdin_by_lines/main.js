import readline from 'node:readline';

let total = 0;
for await (const line of readline.createInterface({ input: process.stdin })) total += Number(line);
console.log({ total });
