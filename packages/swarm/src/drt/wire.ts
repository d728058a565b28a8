// Messages of `swarm://` channels: msgpack maps one after the other, version 3 written, 1 and 2 read, unknown keys skipped, missing ones with
// defaults; and the bytes that a mobile device signs. Pure. docs/protocol/04 §6.3, §6.7, D.4, E. Proof: drt/wire.test.ts.
import { asArray, asBool, asBytes, asInt, asMap, asString, encodeMsgpack, fromHex, type MsgpackInput, MsgpackStream, type MsgpackValue, toHex } from '@jamikit/core/codec'
import type { AccountUri, DeviceId } from '@jamikit/core/contracts'
import { DRT_VERSION, MAX_CERTIFICATE_BYTES, MAX_CERTIFICATE_IDS, MAX_MESSAGE_BYTES, MAX_MOBILE_INFOS, MAX_MOBILE_NODES, MAX_NODES } from './limits.ts'

export const FIND = 1
export const FOUND = 2

/** What a mobile device signs, so that others wake it. */
export interface MobileLease {
  readonly format: number
  readonly conversation: string
  readonly issuer: AccountUri
  readonly device: DeviceId
  /** Unix seconds, both. */
  readonly issuedAt: number
  readonly expiresAt: number
  readonly signature: Uint8Array
}

export interface MobileInfo {
  readonly id: DeviceId
  readonly lease: MobileLease | undefined
}

export interface FindRequest {
  /** Anything but FIND is not answered. */
  readonly query: number
  readonly count: number
  readonly target: DeviceId
}

export interface FindResponse {
  readonly query: number
  readonly nodes: readonly DeviceId[]
  readonly mobileNodes: readonly DeviceId[]
  /** Undefined from peers of version 1. */
  readonly mobileInfos: readonly MobileInfo[] | undefined
}

export interface DrtMessage {
  readonly version: number
  readonly isMobile: boolean
  readonly self?: MobileInfo
  readonly request?: FindRequest
  readonly response?: FindResponse
  /** Whose certificates the peer wants. */
  readonly certificateRequest?: readonly DeviceId[]
  /** Chains as PEM, as they came. */
  readonly certificates?: readonly Uint8Array[]
}

export type OutgoingDrtMessage = Omit<DrtMessage, 'version'>

/** Version 3, all seven keys. */
export function encodeDrtMessage(m: OutgoingDrtMessage): Uint8Array {
  return encodeMsgpack({
    v: DRT_VERSION,
    is_mobile: m.isMobile,
    self_mobile_info: m.self ? infoMap(m.self) : null,
    request: m.request ? { q: m.request.query, num: m.request.count, nodeId: fromHex(m.request.target) } : null,
    response: m.response
      ? { q: m.response.query, nodes: m.response.nodes.map(fromHex), mobile_nodes: m.response.mobileNodes.map(fromHex), mobile_node_infos: (m.response.mobileInfos ?? []).map(infoMap) }
      : null,
    cert_request: m.certificateRequest ? { ids: m.certificateRequest.map(fromHex) } : null,
    cert_response: m.certificates ? { certificates: m.certificates } : null,
  })
}

function infoMap({ id, lease }: MobileInfo): MsgpackInput {
  return { id: fromHex(id), lease: lease ? leaseMap(lease) : null }
}

function leaseMap(l: MobileLease): MsgpackInput {
  return {
    format_version: l.format, conversation_id: l.conversation, issuer_id: fromHex(l.issuer), device_id: fromHex(l.device),
    issued_at: l.issuedAt, expires_at: l.expiresAt, signature: l.signature,
  }
}

/** What the signature of a lease is over: the device as text, where the lease has bytes. */
export function leasePayload(l: Omit<MobileLease, 'signature'>): Uint8Array {
  return encodeMsgpack(['DRT-MOBILE', l.format, l.conversation, fromHex(l.issuer), l.device, l.issuedAt, l.expiresAt])
}

/** One lease by itself, as it is kept between runs. */
export function encodeLease(lease: MobileLease): Uint8Array {
  return encodeMsgpack(leaseMap(lease))
}

const LIMITS = { maxDepth: 8, maxItems: 16_384, maxBytes: MAX_CERTIFICATE_BYTES } as const

/** Messages out of the bytes of a channel, however they are cut. */
export class DrtStream {
  readonly #stream = new MsgpackStream(MAX_MESSAGE_BYTES, LIMITS)

  /** Whole messages in order. @throws ERR_CODEC, ERR_LIMIT; the channel is of no use afterwards */
  push(chunk: Uint8Array): DrtMessage[] {
    return this.#stream.push(chunk).map(readDrtMessage)
  }
}

/** @throws ERR_CODEC naming the field */
export function readDrtMessage(value: MsgpackValue): DrtMessage {
  const map = asMap(value, 'swarm message')
  const self = optional(map.get('self_mobile_info'), (v) => readInfo(v, 'self_mobile_info'))
  const request = optional(map.get('request'), readRequest)
  const response = optional(map.get('response'), readResponse)
  const certificateRequest = optional(map.get('cert_request'), (v) => ids(asMap(v, 'cert_request').get('ids') ?? [], 'cert_request.ids', MAX_CERTIFICATE_IDS))
  const certificates = optional(map.get('cert_response'), (v) =>
    asArray(asMap(v, 'cert_response').get('certificates') ?? [], 'cert_response.certificates', MAX_CERTIFICATE_IDS).map((c) => asBytes(c, 'cert_response.certificates', { max: MAX_CERTIFICATE_BYTES })))
  return {
    version: map.has('v') ? asInt(map.get('v'), 'v', 0, 2 ** 31) : DRT_VERSION,
    isMobile: map.has('is_mobile') ? asBool(map.get('is_mobile'), 'is_mobile') : false,
    ...(self && { self }), ...(request && { request }), ...(response && { response }), ...(certificateRequest && { certificateRequest }), ...(certificates && { certificates }),
  }
}

/** @throws ERR_CODEC */
export function readLease(value: MsgpackValue, field = 'lease'): MobileLease {
  const map = asMap(value, field)
  return {
    format: asInt(map.get('format_version'), `${field}.format_version`, 0, 2 ** 32),
    conversation: asString(map.get('conversation_id'), `${field}.conversation_id`, 1_024),
    issuer: toHex(asBytes(map.get('issuer_id'), `${field}.issuer_id`, { length: 20 })) as AccountUri,
    device: id(map.get('device_id'), `${field}.device_id`),
    issuedAt: asInt(map.get('issued_at'), `${field}.issued_at`, Number.MIN_SAFE_INTEGER),
    expiresAt: asInt(map.get('expires_at'), `${field}.expires_at`, Number.MIN_SAFE_INTEGER),
    signature: asBytes(map.get('signature'), `${field}.signature`, { max: 4_096 }).slice(),
  }
}

function optional<T>(value: MsgpackValue | undefined, read: (value: MsgpackValue) => T): T | undefined {
  return value === undefined || value === null ? undefined : read(value)
}

function readRequest(value: MsgpackValue): FindRequest {
  const map = asMap(value, 'request')
  return { query: query(map.get('q') ?? FIND, 'request.q'), count: asInt(map.get('num') ?? 0, 'request.num', Number.MIN_SAFE_INTEGER), target: id(map.get('nodeId'), 'request.nodeId') }
}

function readResponse(value: MsgpackValue): FindResponse {
  const map = asMap(value, 'response')
  return {
    query: query(map.get('q') ?? FOUND, 'response.q'),
    nodes: ids(map.get('nodes') ?? [], 'response.nodes', MAX_NODES),
    mobileNodes: ids(map.get('mobile_nodes') ?? [], 'response.mobile_nodes', MAX_MOBILE_NODES),
    mobileInfos: optional(map.get('mobile_node_infos'), (v) => asArray(v, 'response.mobile_node_infos', MAX_MOBILE_INFOS).map((info) => readInfo(info, 'response.mobile_node_infos'))),
  }
}

function readInfo(value: MsgpackValue, field: string): MobileInfo {
  const map = asMap(value, field)
  return { id: id(map.get('id'), `${field}.id`), lease: optional(map.get('lease'), (v) => readLease(v, `${field}.lease`)) }
}

function query(value: MsgpackValue, field: string): number {
  return asInt(value, field, 0, 255)
}

function id(value: MsgpackValue | undefined, field: string): DeviceId {
  return toHex(asBytes(value, field, { length: 32 })) as DeviceId
}

function ids(value: MsgpackValue, field: string, max: number): DeviceId[] {
  return asArray(value, field, max).map((v) => id(v, field))
}
