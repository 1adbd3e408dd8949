console.log('returns');
return;
console.log('never');
