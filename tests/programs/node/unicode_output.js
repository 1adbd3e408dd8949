console.log('grüße, Καλημέρα, こんにちは, 🧫, \u202eabc, \ud800 alone');
