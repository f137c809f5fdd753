// Prints the version of the TensorFlow library that t4 runs on. A process of its own, since loading it takes memory.
import { nodeBackend } from '../../src/graph/index.js';

process.stdout.write(nodeBackend.binding.TF_Version);
