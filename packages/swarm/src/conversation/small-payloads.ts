// The small texts that travel over the message channel about conversations: notifications, invitations, receipts, typing. Pure.
// docs/protocol/04 §4.5.1, §5.2, §5.6, §5.8. Proof: conversation/small-payloads.test.ts (captures, refusal table, fuzz).
import { codecError } from '@jamikit/core/base'
import { cutText, fromBase64, toBase64, utf8 } from '@jamikit/core/codec'
import type { ConversationId, ConversationMode, ConversationProfile, DeviceId, MessageId } from '@jamikit/core/contracts'
import { parseConversationId, parseDeviceId, parseMessageId } from '@jamikit/core/identity'
import { MAX_INVITATION_BYTES } from '../defaults.ts'
import { MAX_DESCRIPTION, MAX_TITLE, type ProfileCard } from './profile-card.ts'

export const MIME = {
  commit: 'application/im-gitmessage-id', invite: 'application/invite', invitation: 'application/invite+json', displayed: 'message/imdn+xml',
  typing: 'application/im-iscomposing+xml',
} as const
const XML = '<?xml version="1.0" encoding="utf-8" ?>\n'

export interface CommitNotice {
  readonly conversation: ConversationId
  readonly commit: MessageId
  readonly device: DeviceId
}

function json(text: string, what: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // said below
  }
  throw codecError(what, 'something else', 'a JSON object')
}

export function printCommitNotice(n: CommitNotice): string {
  return JSON.stringify({ commit: n.commit, deviceId: n.device, id: n.conversation })
}

/** @throws ERR_CODEC */
export function parseCommitNotice(text: string): CommitNotice {
  const { id, commit, deviceId } = json(text, 'commit notice')
  return { conversation: parseConversationId(String(id)), commit: parseMessageId(String(commit)), device: parseDeviceId(String(deviceId)) }
}

export interface Invitation {
  readonly conversation: ConversationId
  readonly mode: ConversationMode
  /** As it says; 0 when it says nothing. */
  readonly receivedMs: number
  readonly profile: ConversationProfile
}

/** At most MAX_INVITATION_BYTES: the picture is left out when it does not fit, then the longer texts. */
export function printInvitation(conversation: ConversationId, mode: number, receivedMs: number, card: ProfileCard = {}): string {
  const { avatar, ...texts } = card
  const shown: Record<string, string> = { ...texts, ...(avatar && avatar.length > 0 ? { avatar: toBase64(avatar) } : {}), mode: String(mode) }
  const print = () => JSON.stringify({ conversationId: conversation, metadatas: shown, received: Math.floor(receivedMs / 1000), receivedMs })
  for (const name of ['avatar', 'description', 'title', 'rdvDevice', 'rdvAccount']) {
    if (utf8(print()).length <= MAX_INVITATION_BYTES) break
    delete shown[name]
  }
  return print()
}

/** @throws ERR_CODEC */
export function parseInvitation(text: string): Invitation {
  const { conversationId, metadatas, received, receivedMs } = json(text, 'invitation')
  const said = (typeof metadatas === 'object' && metadatas !== null ? metadatas : {}) as Record<string, unknown>
  const mode = Number(said.mode ?? 0)
  if (![0, 1, 2, 3, 4].includes(mode)) throw codecError('invitation mode', JSON.stringify(said.mode)?.slice(0, 20), '0 to 4')
  const ms = typeof receivedMs === 'number' ? receivedMs : typeof received === 'number' ? received * 1000 : 0
  const [title, description] = [oneLine(said.title, MAX_TITLE), oneLine(said.description, MAX_DESCRIPTION)]
  const avatar = picture(said.avatar)
  return {
    conversation: parseConversationId(String(conversationId)), mode: mode as ConversationMode, receivedMs: Number.isFinite(ms) && ms > 0 ? Math.floor(ms) : 0,
    profile: { ...(title && { title }), ...(description && { description }), ...(avatar && { avatar }) },
  }
}

/** Text of a stranger as one line, within its bound. */
function oneLine(value: unknown, max: number): string {
  if (typeof value !== 'string') return ''
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  return cutText(value.slice(0, 2 * max).replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ').trim(), max)
}

function picture(value: unknown): Uint8Array | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  try {
    return fromBase64(value)
  } catch {
    return undefined // costs itself
  }
}

export function printDisplayed(conversation: ConversationId, message: MessageId): string {
  return `${XML}<imdn><message-id>${message}</message-id>\n<conversation>${conversation}</conversation><display-notification><status><displayed/></status></display-notification>\n</imdn>`
}

/** @throws ERR_CODEC */
export function parseDisplayed(text: string): { conversation: ConversationId; message: MessageId } {
  const message = /<message-id>\s*(\w+)\s*<\/message-id>/.exec(text)?.[1] ?? ''
  const conversation = /<conversation>\s*(\w+)\s*<\/conversation>/.exec(text)?.[1] ?? ''
  if (!/<status>\s*<displayed\s*\/>\s*<\/status>/.test(text)) throw codecError('receipt status', 'another one', 'displayed')
  return { conversation: parseConversationId(conversation), message: parseMessageId(message) }
}

export function printTyping(conversation: ConversationId, active: boolean): string {
  return `${XML}<isComposing><state>${active ? 'active' : 'idle'}</state><conversation>${conversation}</conversation></isComposing>`
}

/** @throws ERR_CODEC */
export function parseTyping(text: string): { conversation: ConversationId; active: boolean } {
  const state = /<state>\s*(\w+)\s*<\/state>/.exec(text)?.[1] ?? ''
  if (state !== 'active' && state !== 'idle') throw codecError('typing state', JSON.stringify(state.slice(0, 20)), 'active or idle')
  return { conversation: parseConversationId(/<conversation>\s*(\w+)\s*<\/conversation>/.exec(text)?.[1] ?? ''), active: state === 'active' }
}
