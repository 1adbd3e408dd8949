process.on('unhandledRejection', (reason) => console.log('unhandled', reason.message));
process.on('rejectionHandled', () => console.log('handled after all'));
const promise = Promise.reject(new Error('late'));
setTimeout(() => promise.catch(() => {}), 10);
