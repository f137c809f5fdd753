// A process that converts a model as `t4 convert` does, with the arguments in argv[2], and prints as its last line what
// of memory it had at the most.
import { z } from 'zod';
import { main } from '../../src/cli.js';
import { peakBytesOf } from './child.js';

const argv = z.array(z.string()).parse(JSON.parse(process.argv[2]!));
process.exitCode = await main(['convert', ...argv]);
process.stdout.write(`${JSON.stringify({ peakBytes: peakBytesOf(process.pid) })}\n`);
