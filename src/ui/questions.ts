import { createInterface } from 'node:readline/promises';

/**
 * Asks a question with the answer that an empty line stands for; resolves to undefined where the user wants to go
 * (Ctrl-C, Ctrl-D).
 */
export type Ask = (question: string, preset: string) => Promise<string | undefined>;

export interface Questions {
  readonly ask: Ask;
  close(): void;
}

/** Questions on a terminal. */
export function openQuestions(input: NodeJS.ReadableStream, output: NodeJS.WritableStream): Questions {
  const lines = createInterface({ input, output });
  const ended = new AbortController();
  const end = (): void => {
    ended.abort();
  };
  lines.on('SIGINT', end);
  lines.on('close', end);
  return {
    async ask(question, preset) {
      const shown = preset === '' ? `${question}: ` : `${question} [${preset}]: `;
      try {
        const answer = await lines.question(shown, { signal: ended.signal });
        return answer.trim() === '' ? preset : answer.trim();
      } catch (error) {
        if (!ended.signal.aborted) throw error;
        output.write('\n');
        return undefined;
      }
    },
    close() {
      lines.close();
    },
  };
}
