import { attr } from './node.js';
import type { Frame, Recorder, Reference } from './recorder.js';
import { currentPlace, TraceError } from './trace-error.js';

/** What a loop is made of, on references: `condition` and `body` record the ops of one iteration. */
export interface LoopParts {
  readonly initial: readonly Reference[];
  readonly condition: (variables: readonly Reference[]) => Reference;
  readonly body: (variables: readonly Reference[]) => readonly Reference[];
}

/**
 * Records a loop as TensorFlow's plain control-flow nodes (tensorflow/core/ops/control_flow_ops.cc), which need no
 * library of functions. For each variable: Enter -> Merge -> Switch, from there into the body and by NextIteration back
 * to Merge, or to Exit when the condition is false.
 *
 * @returns the variables after the loop
 * @throws TraceError where the condition is the same in each iteration
 */
export function recordLoop(recorder: Recorder, { initial, condition, body }: LoopParts): Reference[] {
  const frame = recorder.openFrame();
  try {
    const variables = initial.map((reference) => beginVariable(recorder, reference, frame));
    frame.pivot = variables[0]!.merge;
    const predicate = condition(variables.map(({ merge }) => output(merge)));
    if (recorder.frameOf(predicate) !== frame) {
      const message = 'the condition depends on no variable of the loop, so it would hold for ever or never';
      throw new TraceError(message, 'whileLoop', currentPlace());
    }
    const loopCondition = recorder.append(
      { op: 'LoopCond', attrs: {}, inputs: [predicate], controls: [], outputs: ['bool'] },
      frame,
    );
    const switches = variables.map(({ merge, attrs, dtype }) =>
      recorder.append(
        {
          op: 'Switch',
          attrs,
          inputs: [output(merge), output(loopCondition)],
          controls: [],
          outputs: [dtype, dtype],
        },
        frame,
      ),
    );
    const inBody = variables.map(({ attrs, dtype }, i) =>
      recorder.append(
        { op: 'Identity', attrs, inputs: [output(switches[i]!, 1)], controls: [], outputs: [dtype] },
        frame,
      ),
    );
    frame.pivot = inBody[0]!;
    const next = body(inBody.map((node) => output(node))).map((reference) => recorder.inside(reference, frame));
    variables.forEach(({ merge, attrs, dtype }, i) => {
      const last = { op: 'NextIteration', attrs, inputs: [next[i]!], controls: [], outputs: [dtype] };
      recorder.connect(merge, 1, output(recorder.append(last, frame)));
    });
    return variables.map(({ attrs, dtype }, i) => {
      const exit = { op: 'Exit', attrs, inputs: [output(switches[i]!)], controls: [], outputs: [dtype] };
      return output(recorder.append(exit, frame.outer));
    });
  } finally {
    recorder.closeFrame(frame);
  }
}

const output = (node: number, index = 0): Reference => ({ node, output: index });

function beginVariable(recorder: Recorder, initial: Reference, frame: Frame) {
  const dtype = recorder.dtypeOf(initial);
  const attrs = { T: attr.type(dtype) };
  const first = recorder.inside(initial, frame.outer);
  const enter = output(recorder.enter(first, frame, false, recorder.waitsIn(frame.outer)));
  const merge = recorder.append(
    {
      op: 'Merge',
      attrs: { ...attrs, N: attr.int(2) },
      // The second becomes the end of the body, which is not recorded yet.
      inputs: [enter, enter],
      controls: [],
      outputs: [dtype, 'int32'],
    },
    frame,
  );
  return { dtype, attrs, merge };
}
