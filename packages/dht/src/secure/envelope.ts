// Signing, encrypting, verifying and opening values: the only place where a value from the network becomes a DhtValue.
// docs/protocol/01 §4.3, §4.4, §5.11, §5.12. Proof: engine/engine.test.ts (captured values, refusal table).
import { JamiError, limitError } from '@jamikit/core/base'
import type { Crypto, DhtPut, DhtValue, PrivateKey } from '@jamikit/core/contracts'
import { shortIdOf } from '@jamikit/core/identity'
import { decodeContent, encodeBody, encodeContent, MAX_VALUE_BYTES, type Value, type ValueBody, valueSize } from '../wire/value.ts'

/** True when the signature of a clear value verifies; undefined when it is not signed. */
export async function verifySignature(crypto: Crypto, body: ValueBody): Promise<boolean | undefined> {
  if (!body.owner) return undefined
  return body.signature !== undefined && (await crypto.verify(body.owner, encodeBody(body), body.signature))
}

/** A value to put, signed and encrypted as asked. @throws ERR_ARGUMENT, ERR_LIMIT */
export async function sealValue(crypto: Crypto, id: bigint, put: DhtPut): Promise<Value> {
  const { sign, encryptTo } = put
  if (encryptTo && !sign) throw new JamiError('ERR_ARGUMENT', 'encryptTo: needs sign, since encrypted values are signed')
  const outer = { id, priority: put.priority ?? 0, pushType: put.pushType ?? '' }
  const plain: ValueBody = {
    type: put.type ?? 0, data: put.data.slice(), userType: put.userType ?? '', owner: sign?.publicKey, seq: sign ? (put.seq ?? 0) : 0,
    to: encryptTo && shortIdOf(encryptTo), signature: undefined,
  }
  const body = sign ? { ...plain, signature: await crypto.sign(sign, encodeBody(plain)) } : plain
  const value: Value = encryptTo
    ? { ...outer, body: undefined, cypher: await crypto.encryptFor(encryptTo, encodeContent(body)) }
    : { ...outer, body, cypher: undefined }
  const size = valueSize(value)
  if (size > MAX_VALUE_BYTES) throw limitError('value bytes', size, MAX_VALUE_BYTES)
  return value
}

function shown(id: bigint, body: ValueBody, encrypted: boolean): DhtValue {
  return { id, type: body.type, data: body.data, userType: body.userType, signer: body.owner, encrypted, seq: body.seq }
}

/**
 * What a program gets to see: a clear value whose signature was verified on arrival, or an encrypted one that opens with our key,
 * names us as receiver and is signed. Undefined for everything else.
 */
export async function openValue(crypto: Crypto, value: Value, key: PrivateKey | undefined): Promise<DhtValue | undefined> {
  if (value.body) return clearValue(value)
  if (!key || !value.cypher) return undefined
  try {
    const body = decodeContent(await crypto.decrypt(key, value.cypher))
    if (body.to !== shortIdOf(key.publicKey) || (await verifySignature(crypto, body)) !== true) return undefined
    return shown(value.id, body, true)
  } catch {
    return undefined // not for us, or damaged: indistinguishable on purpose
  }
}

/** The same without a key: undefined for an encrypted one. */
export function clearValue(value: Value): DhtValue | undefined {
  return value.body && shown(value.id, value.body, false)
}
