// A commit as an entry that programs get: whatever its writer put into it, ids are ids, texts are well formed and not longer than what we
// would send, and unknown members are few and short. docs/protocol/04 §1.6. Proof: conversation/reading.test.ts.
import { cutText, wellFormed } from '@jamikit/core/codec'
import type { ConversationEntry, ConversationId, MessageId } from '@jamikit/core/contracts'
import { MAX_FIELD_LENGTH, MAX_FIELDS, MAX_TEXT_LENGTH } from '../defaults.ts'
import type { Commit } from '../repo/commit.ts'
import { type CommitBody, parseBody } from '../repo/commit-body.ts'
import type { CommitInfo } from '../repo/types.ts'

/** Members that hold the id of another message. */
const IDS: ReadonlySet<string> = new Set(['reply-to', 'react-to', 'edit'])
/** Members that hold text of people. */
const TEXTS: ReadonlySet<string> = new Set(['body', 'displayName'])

export function entryOf(conversation: ConversationId, info: CommitInfo, commit: Commit): ConversationEntry {
  const body: CommitBody = commit.parents.length > 1 ? { type: 'merge', fields: { body: commit.message } } : readBody(commit.message)
  const { fields, cut } = cleanFields(body.fields)
  return {
    id: info.oid, conversation, parents: commit.parents as MessageId[], author: info.author, device: info.device,
    timeMs: info.timeS * 1000, type: cleanType(body.type), fields, ...(cut ? { cut } : {}),
  }
}

/** A validated message parses; one that no longer does (older profiles) is shown as of unknown type. */
function readBody(message: string): CommitBody {
  try {
    return parseBody(message)
  } catch {
    return { type: 'unknown', fields: {} }
  }
}

function cleanType(type: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is taken out
  return wellFormed(type.replace(/[\u0000-\u001f\u007f-\u009f]/g, '')).slice(0, 128)
}

function cleanFields(fields: Readonly<Record<string, string>>): { fields: Record<string, string>; cut: boolean } {
  const out: Record<string, string> = {}
  let cut = false
  for (const [name, value] of Object.entries(fields)) {
    if (Object.keys(out).length >= MAX_FIELDS || name.length > 64) {
      cut = true
      continue
    }
    if (IDS.has(name)) {
      if (/^[0-9a-f]{40}$/.test(value)) out[name] = value
      continue
    }
    const limit = TEXTS.has(name) ? MAX_TEXT_LENGTH : MAX_FIELD_LENGTH
    if (value.length > limit) cut = true
    out[name] = cutText(value, limit)
  }
  return { fields: out, cut }
}
