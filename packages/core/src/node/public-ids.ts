// Ids as programs keep and give them: plain strings, checked here. Proof: node/jami-node.test.ts.
import { type Check, checkArgument, is, shown } from '../base/arguments.ts'
import { JamiError } from '../base/errors.ts'
import type { AccountUri, ConversationId, DeviceId, MessageId } from '../contracts/ids.ts'
import { parseAccountUri as parseUri } from '../identity/ids.ts'
import type { PeerLike } from './api.ts'

const ID = is.hex(40)
const DEVICE = is.hex(64)
export const MESSAGE_ID: Check = ID
export const DEVICE_ID: Check = DEVICE
const ADDRESS = 'an account id, 40 hex digits, optionally after jami: or ring:'
/** Whether its text is an address is for `peerUri` to say. */
export const PEER: Check = {
  allowed: `${ADDRESS}, or a contact`,
  test: (value) => typeof value === 'string' || (typeof value === 'object' && value !== null && typeof (value as { uri?: unknown }).uri === 'string'),
}

/** An account in any form that carries its 40 hex digits: bare, `jami:`, `ring:`. @throws ERR_ADDRESS_INVALID */
export function parseAccountUri(text: string): AccountUri {
  return address('account', text)
}

/**
 * A conversation's id out of a text that was kept: 40 hex digits, of either case. @throws ERR_ARGUMENT
 * @example const chat = account.conversations.get(parseConversationId(process.argv[2] ?? ''))
 */
export function parseConversationId(text: string): ConversationId {
  return id('conversation id', text, ID) as ConversationId
}

/** A message's id out of a text that was kept: 40 hex digits, of either case. @param field names it in the error @throws ERR_ARGUMENT */
export function parseMessageId(text: string, field = 'message id'): MessageId {
  return id(field, text, ID) as MessageId
}

/** A device's id out of a text: 64 hex digits, of either case. @throws ERR_ARGUMENT */
export function parseDeviceId(text: string): DeviceId {
  return id('device id', text, DEVICE) as DeviceId
}

/** A contact, or a text with an account id. @throws ERR_ADDRESS_INVALID, ERR_ARGUMENT for what is neither text nor contact */
export function peerUri(peer: PeerLike, field = 'peer'): AccountUri {
  checkArgument(field, peer, PEER)
  return address(field, typeof peer === 'string' ? peer : peer.uri)
}

function id(field: string, text: string, check: Check): string {
  checkArgument(field, text, check)
  return text.toLowerCase()
}

function address(field: string, text: string): AccountUri {
  try {
    return parseUri(text)
  } catch (cause) {
    throw new JamiError('ERR_ADDRESS_INVALID', `${field}: got ${shown(text)}, allowed ${ADDRESS}`, { cause, details: { field, got: shown(text), allowed: ADDRESS } })
  }
}
