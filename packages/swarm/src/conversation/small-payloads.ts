// The small texts that travel over the message channel about conversations: notifications, invitations, receipts, typing. Pure.
// docs/protocol/04 §4.5.1, §5.2, §5.6, §5.8. Proof: conversation/small-payloads.test.ts (captures, refusal table, fuzz).
import { codecError } from '@jamikit/core/base'
import type { ConversationId, DeviceId, MessageId } from '@jamikit/core/contracts'
import { parseConversationId, parseDeviceId, parseMessageId } from '@jamikit/core/identity'

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

export function printInvitation(conversation: ConversationId, mode: number, receivedMs: number): string {
  return JSON.stringify({ conversationId: conversation, metadatas: { mode: String(mode) }, received: Math.floor(receivedMs / 1000), receivedMs })
}

/** @throws ERR_CODEC */
export function parseInvitation(text: string): { conversation: ConversationId; mode: number; receivedMs: number } {
  const { conversationId, metadatas, received, receivedMs } = json(text, 'invitation')
  const mode = typeof metadatas === 'object' && metadatas !== null ? Number((metadatas as Record<string, unknown>).mode ?? 0) : 0
  const ms = typeof receivedMs === 'number' ? receivedMs : typeof received === 'number' ? received * 1000 : 0
  return { conversation: parseConversationId(String(conversationId)), mode: Number.isInteger(mode) ? mode : 0, receivedMs: Number.isFinite(ms) ? ms : 0 }
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
