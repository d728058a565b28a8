// What a node takes along over a restart: its id, nodes that were good, permanent values. Plain data and its form on disk. Pure.
// docs/protocol/01 §6.3.1. Proof: engine/state.test.ts.
import { codecError, JamiError } from '@jamikit/core/base'
import { asArray, asBytes, asInt, asMap, decodeMsgpack, encodeMsgpack, fromHex, toHex } from '@jamikit/core/codec'
import type { InfoHash } from '@jamikit/core/contracts'
import { decodeNodes, encodeNodes, type NodeInfo } from '../wire/node-info.ts'
import { decodeValue, encodeValue, type Value } from '../wire/value.ts'

const VERSION = 1
/** Nodes of each family. */
export const MAX_STATE_NODES = 256
export const MAX_STATE_VALUES = 16_384
const MAX_STATE_BYTES = 64 << 20

export interface StoredPut {
  readonly key: InfoHash
  readonly value: Value
  /** How much longer it is kept up when nobody puts it again, ms; without it: until it is cancelled. */
  readonly leftMs?: number
}

export interface NodeState {
  readonly id: InfoHash
  readonly nodes: readonly NodeInfo[]
  readonly values: readonly StoredPut[]
}

export function encodeState(state: NodeState): Uint8Array {
  const of = (family: 4 | 6) => encodeNodes(state.nodes.filter((n) => n.address.family === family).slice(0, MAX_STATE_NODES))
  return encodeMsgpack({
    version: VERSION, id: fromHex(state.id), n4: of(4), n6: of(6),
    values: state.values.slice(0, MAX_STATE_VALUES).map(({ key, value, leftMs }) => ({ h: fromHex(key), v: encodeValue(value), left: leftMs })),
  })
}

/** @throws ERR_CODEC, ERR_LIMIT: nothing of a damaged state is used */
export function decodeState(bytes: Uint8Array): NodeState {
  const map = asMap(decodeMsgpack(bytes, { maxDepth: 6, maxItems: 8 * MAX_STATE_VALUES, maxBytes: MAX_STATE_BYTES }), 'DHT state')
  const version = asInt(map.get('version'), 'version')
  if (version !== VERSION) throw codecError('version of the DHT state', version, String(VERSION))
  const id = toHex(asBytes(map.get('id'), 'id', { length: 20 })) as InfoHash
  if (/^0+$/.test(id)) throw codecError('id', id, 'other than zero')
  const nodes = ([4, 6] as const).flatMap((family) => {
    const blob = asBytes(map.get(`n${family}`), `n${family}`, { max: MAX_STATE_NODES * 38 })
    const size = family === 4 ? 26 : 38
    if (blob.length % size !== 0) throw codecError(`n${family}`, `${blob.length} bytes`, `a multiple of ${size}`)
    return decodeNodes(blob, family, MAX_STATE_NODES)
  })
  const values = asArray(map.get('values'), 'values', MAX_STATE_VALUES).map((item): StoredPut => {
    const put = asMap(item, 'value')
    const left = put.get('left')
    return {
      key: toHex(asBytes(put.get('h'), 'key', { length: 20 })) as InfoHash, value: decodeValue(asBytes(put.get('v'), 'value')),
      ...(left === undefined ? {} : { leftMs: asInt(left, 'left') }),
    }
  })
  return { id, nodes, values }
}

/** Undefined when there is none, and when it is damaged, which is told. */
export function readState(bytes: Uint8Array | undefined, onProblem: ((error: JamiError) => void) | undefined): NodeState | undefined {
  if (!bytes) return undefined
  try {
    return decodeState(bytes)
  } catch (error) {
    if (!(error instanceof JamiError)) throw error
    onProblem?.(new JamiError('ERR_STORAGE_CORRUPT', `the saved state of the DHT node cannot be read: ${error.message}`, { cause: error, details: error.details }))
    return undefined
  }
}
