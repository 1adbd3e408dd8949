export const value = 'by an import map';
