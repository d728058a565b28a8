// Commits that this device writes: the tree of before, with our device's certificate where it is missing or has expired; signed; at a time
// that is not before what it builds on. docs/protocol/04 §1.4–1.6, §2.2, §4.6. Proof: conversation/conversation.test.ts.
import { JamiError } from '@jamikit/core/base'
import { fromUtf8, utf8 } from '@jamikit/core/codec'
import type { AccountUri, BaseEnv, DeviceId, DeviceIdentity } from '@jamikit/core/contracts'
import { parseCertificate } from '@jamikit/core/identity'
import { MAX_COMMIT_BYTES, MAX_TIME_AHEAD_S } from '../defaults.ts'
import { authorName, signedCommit, unsignedCommit } from '../repo/commit.ts'
import { type CommitBody, printBody } from '../repo/commit-body.ts'
import { editTree, readFile } from '../repo/edit-tree.ts'
import { EMPTY_BLOB, type GitObject, objectId, type Oid } from '../repo/object.ts'
import type { NewCommit, ObjectReader } from '../repo/types.ts'

export interface WriterEnv extends Pick<BaseEnv, 'clock' | 'crypto'> {
  readonly identity: DeviceIdentity
  readonly displayName: () => string
}

/** What a commit builds on. */
export interface Base {
  readonly tree: Oid
  readonly parents: readonly { readonly oid: Oid; readonly timeS: number }[]
}

/** A commit of ours and everything that is new with it. */
export interface Draft {
  readonly commit: NewCommit
  readonly objects: readonly GitObject[]
}

export type Edits = ReadonlyMap<string, GitObject | undefined>

const blob = (data: Uint8Array): GitObject => ({ type: 'blob', data })
export const emptyFile = (): GitObject => blob(EMPTY_BLOB)

export class Writer {
  readonly #env: WriterEnv
  #checked: Oid | undefined

  constructor(env: WriterEnv) {
    this.#env = env
  }

  get me(): AccountUri {
    return this.#env.identity.accountId
  }

  /** Our account's certificate with its issuers, as `admins/` and `members/` keep it. */
  accountFile(): GitObject {
    const [, ...account] = this.#env.identity.chain
    return blob(utf8(account.map((certificate) => certificate.pem).join('')))
  }

  deviceFile(): GitObject {
    return blob(utf8(this.#env.identity.chain[0].pem))
  }

  get deviceId(): DeviceId {
    return this.#env.identity.deviceId
  }

  get devicePath(): string {
    return `devices/${this.#env.identity.deviceId}.crt`
  }

  /** An ordinary commit, or one with `edits`: a file's new content, or undefined to take it away. */
  async draft(reader: Pick<ObjectReader, 'read'>, base: Base, body: CommitBody, edits: Edits = new Map()): Promise<Draft> {
    const all = new Map([...(await this.#ownCertificate(reader, base.tree)), ...edits])
    const files = [...all.values()].filter((object) => object !== undefined)
    const { root, objects } = all.size === 0 ? { root: base.tree, objects: [] } : await editTree(reader, base.tree, ids(all))
    const draft = await this.sign(root, base.parents, printBody(body), [...files, ...objects])
    if (edits.size === 0) this.#checked = root
    return draft
  }

  /** The first commit of a conversation, with these files. Its id is that of the conversation: the same again in the same second would be the same one. */
  async first(body: CommitBody, files: Edits, timeS?: number): Promise<Draft> {
    const { root, objects } = await editTree({ read: async () => undefined }, undefined, ids(files))
    return this.sign(root, [], printBody(body), [...[...files.values()].filter((object) => object !== undefined), ...objects], timeS)
  }

  /** @throws ERR_LIMIT when the message is too long for a commit */
  async sign(tree: Oid, parents: Base['parents'], message: string, objects: readonly GitObject[], givenS?: number): Promise<Draft> {
    const { clock, crypto, identity, displayName } = this.#env
    const timeS = givenS === undefined ? this.#timeS(parents) : Math.max(givenS, this.#validS)
    const name = authorName(displayName(), identity.deviceId)
    const unsigned = unsignedCommit({ tree, parents: parents.map(({ oid }) => oid), name, device: identity.deviceId, timeS, message })
    if (unsigned.length > MAX_COMMIT_BYTES - 2048) throw new JamiError('ERR_LIMIT', `message: got ${unsigned.length} bytes, allowed ${MAX_COMMIT_BYTES - 2048}`, { details: { got: unsigned.length, allowed: MAX_COMMIT_BYTES - 2048 } })
    const object: GitObject = { type: 'commit', data: signedCommit(unsigned, await clock.track(crypto.sign(identity.privateKey, unsigned))) }
    return {
      commit: { oid: objectId(object), tree, parents: parents.map(({ oid }) => oid), timeS, author: identity.accountId, device: identity.deviceId },
      objects: [...objects, object],
    }
  }

  /** Since when our certificates are valid. */
  get #validS(): number {
    const [device, account] = this.#env.identity.chain
    return Math.ceil(Math.max(device.notBeforeMs, account?.notBeforeMs ?? 0) / 1000)
  }

  /** Now; never before our own certificate or what we build on, unless its writer's clock is more than a day ahead. */
  #timeS(parents: Base['parents']): number {
    const nowS = Math.floor(this.#env.clock.wallTimeMs() / 1000)
    return Math.max(nowS, this.#validS, ...parents.map(({ timeS }) => timeS).filter((timeS) => timeS <= nowS + MAX_TIME_AHEAD_S))
  }

  /** The tree lacks our device's certificate, or has one that expired: the next commit brings it. */
  async isNew(reader: Pick<ObjectReader, 'read'>, tree: Oid): Promise<boolean> {
    return (await this.#ownCertificate(reader, tree)).length > 0
  }

  /** Our device's certificate when the tree lacks it, or has one that expired. */
  async #ownCertificate(reader: Pick<ObjectReader, 'read'>, tree: Oid): Promise<[string, GitObject][]> {
    if (tree === this.#checked) return []
    const object = await readFile(reader, tree, this.devicePath)
    if (object && parseCertificate(fromUtf8(object.data)).notAfterMs > this.#env.clock.wallTimeMs()) {
      this.#checked = tree
      return []
    }
    return [[this.devicePath, this.deviceFile()]]
  }
}

function ids(files: Edits): Map<string, Oid | undefined> {
  return new Map([...files].map(([path, object]) => [path, object && objectId(object)]))
}
