const fs = require('fs');
const { pipeline } = require('stream/promises');
const zlib = require('zlib');
(async () => {
  await fs.promises.mkdir('made');
  await fs.promises.writeFile('made/a.txt', 'petri '.repeat(1000));
  await pipeline(fs.createReadStream('made/a.txt'), zlib.createGzip(), fs.createWriteStream('made/a.gz'));
  console.log(zlib.gunzipSync(fs.readFileSync('made/a.gz')).length, fs.readdirSync('made'));
  await fs.promises.rm('made', { recursive: true });
  await fs.promises.readFile('made/a.txt');
})();
