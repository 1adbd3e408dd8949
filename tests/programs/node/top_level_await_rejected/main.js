await Promise.resolve();
await Promise.reject(new Error('rejected at the top'));
