process.stdout.write(Buffer.from([...Array(256).keys()]));
process.stderr.write(Buffer.from([...Array(256).keys()].reverse()));
