process.stdout.write('small enough to be written at once\n');
process.exit(0);
