export const value = 'from main.mjs';
