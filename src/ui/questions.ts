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
  // It keeps what is typed or pasted before it is asked for; `question` would lose that.
  const answers = lines[Symbol.asyncIterator]();
  let isOpen = true;
  lines.on('close', () => {
    isOpen = false;
  });
  lines.on('SIGINT', () => {
    lines.close();
  });
  return {
    async ask(question, preset) {
      const shown = preset === '' ? `${question}: ` : `${question} [${preset}]: `;
      if (isOpen) {
        lines.setPrompt(shown);
        lines.prompt();
      } else output.write(shown);
      const answer = await answers.next();
      if (answer.done === true) {
        output.write('\n');
        return undefined;
      }
      return answer.value.trim() === '' ? preset : answer.value.trim();
    },
    close() {
      lines.close();
    },
  };
}
