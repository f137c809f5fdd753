import {
  constructFromEvents,
  CORE_SCHEMA,
  type Event,
  EVENT_ID,
  getScalarValue,
  parseEvents,
  SCALAR_STYLE,
  type ScalarEvent,
  YAMLException,
} from 'js-yaml';
import { type Path, pathText, type Problem } from './problems.js';

/** Where a key and its value stand: `file:line:column`, or the override that gave them. */
export interface Origin {
  readonly key: string;
  readonly value: string;
  readonly order: number;
}

export class Origins {
  private readonly byPath = new Map<string, Origin>();

  set(path: Path, origin: Origin): void {
    this.byPath.set(JSON.stringify(path), origin);
  }

  get(path: Path): Origin | undefined {
    return this.byPath.get(JSON.stringify(path));
  }

  /** The origin of the path or of the nearest thing around it. */
  nearest(path: Path): Origin {
    for (let length = path.length; length > 0; length -= 1) {
      const origin = this.get(path.slice(0, length));
      if (origin !== undefined) return origin;
    }
    return this.get([]) ?? { key: '', value: '', order: 0 };
  }
}

export interface YamlDocument {
  readonly value: unknown;
  readonly origins: Origins;
  readonly problems: readonly Problem[];
}

/** Reads one YAML document and remembers where each key and value stands. */
export function parseYaml(source: string, file: string): YamlDocument {
  const origins = new Origins();
  origins.set([], { key: `${file}:1:1`, value: `${file}:1:1`, order: 0 });
  try {
    const events = parseEvents(source, { filename: file });
    // json: a duplicate key does not end the reading; the walk below reports it together with all else.
    const documents = constructFromEvents(events, { source, schema: CORE_SCHEMA, json: true, maxAliases: 100 });
    if (documents.length !== 1) {
      const message = documents.length === 0 ? 'the file is empty' : `${documents.length} documents, expected one`;
      return { value: undefined, origins, problems: [{ where: `${file}:1:1`, message, order: 0 }] };
    }
    const problems = locate({ source, file, events, origins });
    return { value: documents[0], origins, problems };
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error;
    const { line, column } = error.mark ?? { line: 0, column: 0 };
    const problem = { where: `${file}:${line + 1}:${column + 1}`, message: `not YAML: ${error.reason}`, order: 0 };
    return { value: undefined, origins, problems: [problem] };
  }
}

interface Walk {
  readonly source: string;
  readonly file: string;
  readonly events: readonly Event[];
  readonly origins: Origins;
}

/** Fills in the origins; returns the duplicate keys. */
function locate(walk: Walk): Problem[] {
  const problems: Problem[] = [];
  const { source, events, origins } = walk;
  let next = 0;

  const visitMapping = (path: Path): void => {
    for (let event = events[next]; event !== undefined && event.type !== EVENT_ID.POP; event = events[next]) {
      next += 1;
      if (event.type !== EVENT_ID.SCALAR) throw new Error('a key that is no scalar passed the construction');
      const child = [...path, getScalarValue(source, event)];
      const at = scalarOffset(event);
      const first = origins.get(child);
      if (first !== undefined) {
        const message = `${pathText(child)}: duplicate key, first given at ${first.key}`;
        problems.push({ where: place(walk, at), message, order: at });
      }
      visitNode(child, at);
    }
    next += 1;
  };

  const visitSequence = (path: Path): void => {
    for (let index = 0; events[next] !== undefined && events[next]?.type !== EVENT_ID.POP; index += 1) {
      visitNode([...path, index], -1);
    }
    next += 1;
  };

  /** @param keyAt offset of the key, -1 for an item of a list */
  const visitNode = (path: Path, keyAt: number): void => {
    const event = events[next];
    if (event === undefined) return;
    next += 1;
    const valueAt = offsetOf(event);
    const at = valueAt < 0 ? keyAt : valueAt;
    const around = origins.nearest(path);
    origins.set(path, {
      key: keyAt < 0 ? (at < 0 ? around.key : place(walk, at)) : place(walk, keyAt),
      value: at < 0 ? around.value : place(walk, at),
      order: Math.max(keyAt, at, 0),
    });
    if (event.type === EVENT_ID.MAPPING) visitMapping(path);
    if (event.type === EVENT_ID.SEQUENCE) visitSequence(path);
  };

  for (; next < events.length && events[next]?.type === EVENT_ID.DOCUMENT; next += 1);
  visitNode([], -1);
  return problems;
}

function offsetOf(event: Event): number {
  switch (event.type) {
    case EVENT_ID.SCALAR:
      return scalarOffset(event);
    case EVENT_ID.MAPPING:
    case EVENT_ID.SEQUENCE:
      return event.start;
    case EVENT_ID.ALIAS:
      return event.anchorStart;
    case EVENT_ID.DOCUMENT:
    case EVENT_ID.POP:
      return -1;
  }
}

/** The offset of a scalar's first character, the opening quote included; -1 for an empty one. */
function scalarOffset(event: ScalarEvent): number {
  const quoted = event.style === SCALAR_STYLE.SINGLE_QUOTED || event.style === SCALAR_STYLE.DOUBLE_QUOTED;
  return event.valueStart < 0 ? -1 : event.valueStart - (quoted ? 1 : 0);
}

function place(walk: Walk, offset: number): string {
  const before = walk.source.slice(0, offset).split(/\r\n|\r|\n/);
  return `${walk.file}:${before.length}:${(before.at(-1) ?? '').length + 1}`;
}
