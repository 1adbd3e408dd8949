console.log(new Date(1700000000000).toString(), Intl.DateTimeFormat().resolvedOptions().timeZone);
process.env.TZ = 'Asia/Tokyo';
console.log(new Date(1700000000000).toString());
