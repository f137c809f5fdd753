import { UserError } from '../errors.js';
import type { Reporter } from '../ui/reporter.js';

/** The folder of a model of the Hugging Face hub. */
export function resolveHubModel(
  { repository, revision }: { readonly repository: string; readonly revision: string | undefined },
  _reporter: Reporter | undefined,
): Promise<string> {
  return Promise.reject(
    new UserError(
      'usage',
      `hf:${repository}: downloading from the Hugging Face hub is not supported yet`,
      `Download the folder (config.json, model.safetensors, tokenizer.json or vocab.txt) from\n` +
        `https://huggingface.co/${repository}/tree/${revision ?? 'main'} and pass it: --model FOLDER`,
    ),
  );
}
