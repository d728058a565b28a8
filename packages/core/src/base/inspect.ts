// How objects of the API look in `console.log`: short, and nothing of what they are made of. Proof: base/inspect.test.ts, node/jami-node.test.ts.

/** What Node's `util.inspect` asks an object for. */
export const INSPECT = Symbol.for('nodejs.util.inspect.custom')
/** Characters of a text. */
const MAX_SHOWN = 120

/** `Kind { field: "text", other: 1 }` */
export function shown(kind: string, fields: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(fields).filter(([, value]) => value !== undefined).map(([name, value]) => `${name}: ${typeof value === 'string' ? JSON.stringify(short(value)) : String(value)}`)
  return `${kind} { ${parts.join(', ')} }`
}

/** The same object, which shows itself like that. */
export function showing<T extends object>(object: T, kind: string, fields: () => Readonly<Record<string, unknown>>): T {
  return Object.defineProperty(object, INSPECT, { value: () => shown(kind, fields()), enumerable: false })
}

function short(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}
