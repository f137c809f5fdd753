export const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

export const seconds = (value: number): string => `${value.toFixed(value < 10 ? 3 : 1)} s`;
export const ratio = (value: number): string => value.toFixed(3);
export const range = (values: readonly number[]): string => values.map(ratio).join(' - ');
