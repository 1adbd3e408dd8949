process.stdout.write('x'.repeat(900_000), () => console.error('written'));
