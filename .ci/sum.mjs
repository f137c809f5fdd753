// Prints the sum of mocha's JSON reports as `N passed, N failed`. A report that is missing (mocha did not come to its
// end) counts as one failure. Exits with 1 where anything failed.
import fs from 'node:fs';

let passed = 0;
let failed = 0;
for (const file of process.argv.slice(2)) {
  try {
    const { stats } = JSON.parse(fs.readFileSync(file, 'utf8'));
    passed += stats.passes;
    failed += stats.failures;
  } catch (error) {
    console.error(`no report of a test run: ${error.message}`);
    failed += 1;
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
