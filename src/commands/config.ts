import { loadTask, portableTask, taskYaml } from '../task/load.js';
import { editorSchema } from '../task/schema.js';
import type { Reporter } from '../ui/reporter.js';
import type { ConfigShowOptions } from './options.js';

/** `t4 config show`: the task with all defaults, overrides applied and paths absolute. */
export function configShow({ task, model, data, set }: ConfigShowOptions, ui: Reporter): number {
  const resolved = loadTask({ task, model, dataDir: data, overrides: set });
  ui.result(taskYaml(resolved).trimEnd());
  ui.json(portableTask(resolved));
  return 0;
}

/** `t4 config schema`: for editors, and for whoever wants every key on one page. */
export function configSchema(ui: Reporter): number {
  ui.json(editorSchema());
  return 0;
}
