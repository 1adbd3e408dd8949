const readline = require('readline');
const prompt = readline.createInterface({ input: process.stdin, output: process.stdout });
prompt.question('name? ', (name) => {
  console.log(`hello ${name}`);
  prompt.close();
});
