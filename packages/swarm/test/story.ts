// Histories as their writers could make them, honest or forged, commit by commit: only objects, no repository and no rules.
import { utf8 } from '@jamikit/core/codec'
import type { DeviceIdentity } from '@jamikit/core/contracts'
import { ManualClock, testCrypto } from '@jamikit/core/testing'
import { signedCommit, unsignedCommit } from '../src/repo/commit.ts'
import { printBody } from '../src/repo/commit-body.ts'
import { editTree } from '../src/repo/edit-tree.ts'
import { type GitObject, objectId, type Oid } from '../src/repo/object.ts'

export const START_S = 1_790_000_000

export interface Telling {
  author: DeviceIdentity
  /** Who really signs; the author when left out. */
  signer?: DeviceIdentity
  type?: string
  fields?: Record<string, string>
  message?: string
  parents?: readonly Oid[]
  /** Path → new content, or undefined to take it away. */
  edits?: Record<string, string | Uint8Array | undefined>
  /** A tree instead of the parent's with the edits. */
  tree?: Oid
  timeS?: number
}

export const accountPem = (who: DeviceIdentity): string => who.chain.slice(1).map((c) => c.pem).join('')
export const devicePem = (who: DeviceIdentity): string => who.chain[0].pem

export class Story {
  readonly objects = new Map<Oid, GitObject>()
  crypto = testCrypto()
  readonly clock = new ManualClock()
  #timeS = START_S
  head: Oid = ''

  /** A 1:1 conversation that `creator` made for `invited`. */
  static async oneToOne(creator: DeviceIdentity, invited: DeviceIdentity, timeS = START_S): Promise<Story> {
    const story = new Story()
    story.#timeS = timeS
    await story.tell({
      author: creator, type: 'initial', fields: { mode: '0', invited: invited.accountId }, parents: [],
      edits: { [`admins/${creator.accountId}.crt`]: accountPem(creator), [`devices/${creator.deviceId}.crt`]: devicePem(creator), [`invited/${invited.accountId}`]: '' },
    })
    return story
  }

  /** A group (or a document, mode 4) that `creator` made. */
  static async group(creator: DeviceIdentity, mode = 2): Promise<Story> {
    const story = new Story()
    await story.tell({
      author: creator, type: 'initial', fields: mode === 4 ? { mode: '4', parent: 'c'.repeat(40), mimeType: 'text/html' } : { mode: `${mode}` }, parents: [],
      edits: { [`admins/${creator.accountId}.crt`]: accountPem(creator), [`devices/${creator.deviceId}.crt`]: devicePem(creator) },
    })
    return story
  }

  get id(): Oid {
    return [...this.objects].find(([, o]) => o.type === 'commit')?.[0] ?? ''
  }

  keep(object: GitObject): Oid {
    const oid = objectId(object)
    this.objects.set(oid, object)
    return oid
  }

  treeOf(commit: Oid): Oid {
    return new TextDecoder().decode(this.objects.get(commit)?.data.subarray(5, 45))
  }

  join(who: DeviceIdentity): Promise<Oid> {
    return this.tell({
      author: who, type: 'member', fields: { action: 'join', uri: who.accountId },
      edits: { [`invited/${who.accountId}`]: undefined, [`members/${who.accountId}.crt`]: accountPem(who), [`devices/${who.deviceId}.crt`]: devicePem(who) },
    })
  }

  add(author: DeviceIdentity, who: DeviceIdentity): Promise<Oid> {
    return this.tell({ author, type: 'member', fields: { action: 'add', uri: who.accountId }, edits: { [`invited/${who.accountId}`]: '' } })
  }

  leave(who: DeviceIdentity): Promise<Oid> {
    return this.tell({ author: who, type: 'member', fields: { action: 'remove', uri: who.accountId }, edits: { [`members/${who.accountId}.crt`]: undefined, [`devices/${who.deviceId}.crt`]: undefined } })
  }

  vote(author: DeviceIdentity, action: 'ban' | 'unban', who: DeviceIdentity, kind = 'members'): Promise<Oid> {
    const uri = kind === 'devices' ? who.deviceId : who.accountId
    return this.tell({ author, type: 'vote', fields: { uri }, edits: { [`votes/${action}/${kind}/${uri}/${author.accountId}`]: '' } })
  }

  /** Vote and what comes of it, as the only admin writes them. */
  async ban(author: DeviceIdentity, who: DeviceIdentity, kind = 'members'): Promise<Oid> {
    await this.vote(author, 'ban', who, kind)
    return this.resolve(author, 'ban', who, kind)
  }

  async unban(author: DeviceIdentity, who: DeviceIdentity, kind = 'members'): Promise<Oid> {
    await this.vote(author, 'unban', who, kind)
    return this.resolve(author, 'unban', who, kind)
  }

  resolve(author: DeviceIdentity, action: 'ban' | 'unban', who: DeviceIdentity, kind = 'members', more: Record<string, string | undefined> = {}): Promise<Oid> {
    const uri = kind === 'devices' ? who.deviceId : who.accountId
    const place = kind === 'invited' ? `invited/${uri}` : `${kind}/${uri}.crt`
    const content = kind === 'invited' ? '' : kind === 'devices' ? devicePem(who) : accountPem(who)
    return this.tell({
      author, type: 'member', fields: { action, uri },
      edits: { [place]: action === 'ban' ? undefined : content, [`banned/${place}`]: action === 'ban' ? content : undefined, [`votes/${action}/${kind}/${uri}/${author.accountId}`]: undefined, ...more },
    })
  }

  /** Writes a commit and makes it the head. */
  async tell(t: Telling): Promise<Oid> {
    const parents = t.parents ?? [this.head]
    const edits = new Map(Object.entries(t.edits ?? {}).map(([path, content]) =>
      [path, content === undefined ? undefined : this.keep({ type: 'blob', data: typeof content === 'string' ? utf8(content) : content })]))
    let tree = t.tree ?? (parents[0] === undefined ? undefined : this.treeOf(parents[0]))
    if (tree === undefined || edits.size > 0) {
      const made = await editTree({ read: async (oid) => this.objects.get(oid) }, tree, edits)
      for (const object of made.objects) this.keep(object)
      tree = made.root
    }
    const unsigned = unsignedCommit({
      tree, parents, name: 'Somebody', device: t.author.deviceId, timeS: t.timeS ?? this.#timeS++,
      message: t.message ?? printBody({ type: t.type ?? 'text/plain', fields: t.fields ?? { body: 'hi' } }),
    })
    this.head = this.keep({ type: 'commit', data: signedCommit(unsigned, await this.crypto.sign((t.signer ?? t.author).privateKey, unsigned)) })
    return this.head
  }
}
