// Messages as people see them: a commit with what others made of it. The newest edit in the order of the history wins; an empty one takes the
// message back and clears its reactions; whoever reacted may take that back. docs/protocol/04 §5.10, D.2. Proof: conversation/view/projection.test.ts.
import { cutText } from '@jamikit/core/codec'
import type { ConversationEntry, MessageEdition, MessageId, MessageReaction, MessageView } from '@jamikit/core/contracts'
import type { Oid } from '../../repo/object.ts'
import type { CommitInfo, History } from '../../repo/types.ts'
import { isVisible, KIND, RELATION, targetOf, textOf } from './kinds.ts'
import type { Change, ViewIndex } from './view-index.ts'

export const MAX_EDITIONS = 100
export const MAX_REACTIONS = 1_000
/** Changes of reactions that are looked at for one message, the newest ones: what a member who reacts without end costs. */
export const MAX_REACTION_CHANGES = 4_096
/** Edits, and deletions, that are looked at for one message, the newest ones. */
export const MAX_EDITS = 1_024
/** Changes of reactions that were read lately, of all conversations. */
export const MAX_KEPT_CHANGES = 2 * MAX_REACTION_CHANGES
const TEXTS = [RELATION.edit, RELATION.deletion] as const
const REACTIONS = [RELATION.reaction, RELATION.reactionEdit, RELATION.reactionRemoval] as const
/** Characters of a reaction. */
const MAX_REACTION_LENGTH = 256

export interface ProjectionEnv {
  readonly history: History
  readonly index: Pick<ViewIndex, 'kind' | 'changes'>
  readonly entry: (oid: Oid) => Promise<ConversationEntry | undefined>
  /** Shared by all conversations: each new reaction shows those before it again. */
  readonly kept: Map<Oid, MessageReaction & { readonly edits: string }> // bounded by MAX_KEPT_CHANGES
}

interface Placed extends Change {
  readonly info: CommitInfo
}

export class Projection {
  readonly #env: ProjectionEnv

  constructor(env: ProjectionEnv) {
    this.#env = env
  }

  /** The commit that a commit belongs to: itself, or what it changes. Undefined when people see nothing of it. */
  async rootOf(oid: Oid): Promise<MessageId | undefined> {
    const { history, index, entry } = this.#env
    let at: Oid | undefined = oid
    for (let steps = 0; at !== undefined && steps < 3; steps++) { // an edit of a reaction to a message
      const info = history.info(at)
      if (!info) return undefined
      const kind = index.kind(info.row)
      if (isVisible(kind)) return info.oid
      if (kind !== KIND.edit && kind !== KIND.reaction) return undefined
      const found: ConversationEntry | undefined = await entry(info.oid)
      at = found && targetOf(found)
    }
    return undefined
  }

  /** Changes that stand after the message in the order of main, oldest first. */
  async #placed(of: CommitInfo, all = true): Promise<Placed[]> {
    const { history, index } = this.#env
    const out: Placed[] = []
    for (const change of [...(await index.changes(of.row, TEXTS, MAX_EDITS)), ...(all ? await index.changes(of.row, REACTIONS, MAX_REACTION_CHANGES) : [])]) {
      const info = history.row(change.row)
      if (info.position > of.position) out.push({ ...change, info })
    }
    return out.sort((a, b) => a.info.position - b.info.position)
  }

  /** The text as it stands now; undefined when the author took it back. */
  async text(entry: ConversationEntry): Promise<string | undefined> {
    const info = this.#env.history.info(entry.id)
    const newest = info && (await this.#placed(info, false)).findLast(({ relation }) => relation === RELATION.edit || relation === RELATION.deletion)
    if (!newest || this.#env.index.kind(info.row) === KIND.file) return newest?.relation === RELATION.deletion ? undefined : textOf(entry)
    return newest.relation === RELATION.deletion ? undefined : (await this.#env.entry(newest.info.oid))?.fields.body
  }

  async view(entry: ConversationEntry): Promise<MessageView> {
    const info = this.#env.history.info(entry.id)
    const changes = info ? await this.#placed(info) : []
    if (!info || changes.length === 0) return { entry, fields: entry.fields, deleted: false, editions: [], editedMs: undefined, reactions: [] }
    const texts = changes.filter(({ relation }) => relation === RELATION.edit || relation === RELATION.deletion)
    const cleared = texts.findLast(({ relation }) => relation === RELATION.deletion)?.info.position ?? -1
    const isFile = this.#env.index.kind(info.row) === KIND.file
    return {
      entry, ...(await (isFile ? this.#file(entry, texts) : this.#edited(entry, texts))),
      reactions: await this.#reactions(changes.filter(({ relation, info: { position } }) => relation >= RELATION.reaction && position > cleared)),
    }
  }

  async #edited(entry: ConversationEntry, texts: readonly Placed[]): Promise<Pick<MessageView, 'fields' | 'deleted' | 'editions' | 'editedMs'>> {
    const all: MessageEdition[] = [{ id: entry.id, timeMs: entry.timeMs, body: entry.fields.body ?? '' }]
    for (const { info } of texts.slice(-MAX_EDITIONS - 1)) {
      const edit = await this.#env.entry(info.oid)
      if (edit?.fields.edit === entry.id) all.push({ id: edit.id, timeMs: edit.timeMs, body: edit.fields.body ?? '' })
    }
    const last = all.pop() as MessageEdition
    const deleted = last.id !== entry.id && last.body === ''
    return {
      fields: all.length === 0 ? entry.fields : { ...entry.fields, body: last.body }, deleted,
      editions: all.reverse().slice(0, MAX_EDITIONS), editedMs: all.length === 0 ? undefined : last.timeMs,
    }
  }

  /** A file is only taken back (spec 04 §7.4). */
  async #file(entry: ConversationEntry, texts: readonly Placed[]): Promise<Pick<MessageView, 'fields' | 'deleted' | 'editions' | 'editedMs'>> {
    const last = texts.at(-1)
    if (last?.relation !== RELATION.deletion) return { fields: entry.fields, deleted: false, editions: [], editedMs: undefined }
    return { fields: { ...entry.fields, tid: '' }, deleted: true, editions: [], editedMs: last.info.timeS * 1000 }
  }

  async #reactions(changes: readonly Placed[]): Promise<MessageReaction[]> {
    const out = new Map<Oid, MessageReaction>() // bounded by MAX_REACTION_CHANGES
    for (const { relation, info } of changes.slice(-MAX_REACTION_CHANGES)) {
      const change = await this.#change(info.oid)
      if (!change) continue
      const { edits, ...said } = change
      if (relation === RELATION.reaction) {
        out.set(said.id, said)
        continue
      }
      const reaction = out.get(edits)
      if (!reaction) continue
      if (relation === RELATION.reactionRemoval) out.delete(reaction.id)
      else out.set(reaction.id, { ...reaction, body: said.body })
    }
    return [...out.values()].slice(0, MAX_REACTIONS)
  }

  /** A commit stays what it is. */
  async #change(oid: Oid): Promise<(MessageReaction & { readonly edits: string }) | undefined> {
    const { kept, entry } = this.#env
    const known = kept.get(oid)
    if (known) return known
    const found = await entry(oid)
    if (!found) return undefined
    const { id, author, timeMs, fields } = found
    const change = { id, author, body: cutText(fields.body ?? '', MAX_REACTION_LENGTH), timeMs, edits: (fields.edit ?? '').slice(0, 40) }
    kept.set(oid, change)
    for (const oldest of kept.keys()) {
      if (kept.size <= MAX_KEPT_CHANGES) break
      kept.delete(oldest)
    }
    return change
  }
}
