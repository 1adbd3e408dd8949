throw { code: 7, nested: { deep: [1, 2, { x: 1 }] } };
