/**
 * Text with what came from files in it, without the control characters that a terminal would obey: names of tensors and
 * of labels may hold anything. Line ends and tabs stay.
 */
export const harmless = (text: string): string =>
  text.replace(/(?![\n\t])\p{Cc}/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
