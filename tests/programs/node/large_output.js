for (let number = 0; number < 40000; number++) console.log(`line ${number}`);
