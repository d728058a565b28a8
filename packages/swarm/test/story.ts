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
  readonly crypto = testCrypto()
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
