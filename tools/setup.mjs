// Makes a fresh checkout ready to run: packages, TensorFlow's library, the binding, the demo model, the build.
// Plain Node without packages, since it is what installs them.
import { nodeVersionProblem } from '../bin/node-version.mjs';

const tooOld = nodeVersionProblem();
if (tooOld !== undefined) {
  process.stderr.write(`${tooOld}\n`);
  process.exitCode = 4; // environment
} else {
  // Not imported at the top: an old Node would stumble over its syntax before it could say that it is old.
  const { main } = await import('./setup/main.mjs');
  process.exitCode = await main(process.argv.slice(2));
}
