// Who is in a conversation, as its newest tree says. Only directories that changed are read again.
// docs/protocol/04 §2 (precedence of roles). Proof: conversation/members.test.ts.
import type { AccountUri, MemberRole } from '@jamikit/core/contracts'
import { decodeTree, type Oid, TREE_MODE, type TreeEntry } from '../repo/object.ts'
import type { ObjectReader } from '../repo/types.ts'

export interface Member {
  readonly uri: AccountUri
  readonly role: MemberRole
}

/** First hit per account wins. */
const PLACES: readonly (readonly [directory: string, role: MemberRole])[] = [
  ['admins', 'admin'], ['members', 'member'], ['invited', 'invited'], ['banned/members', 'banned'], ['banned/invited', 'banned'],
]

export class Members {
  readonly #reader: ObjectReader
  readonly #names = new Map<string, { outer: Oid | undefined; uris: AccountUri[] }>() // one for each place
  #tree: Oid | undefined
  #roles: ReadonlyMap<AccountUri, MemberRole> = new Map()
  #list: readonly Member[] = []

  constructor(reader: ObjectReader) {
    this.#reader = reader
  }

  get list(): readonly Member[] {
    return this.#list
  }

  roleOf(uri: AccountUri): MemberRole | undefined {
    return this.#roles.get(uri)
  }

  /** Reads the top once, then the directories that are not the ones of before. @param founders who is shown as `left` when found nowhere (both sides of a 1:1) */
  async refresh(tree: Oid, founders: readonly AccountUri[]): Promise<void> {
    if (tree === this.#tree) return
    const top = await this.#entries(tree)
    const roles = new Map<AccountUri, MemberRole>() // bounded by the tree's entries
    for (const [directory, role] of PLACES) for (const uri of await this.#uris(top, directory)) if (!roles.has(uri)) roles.set(uri, role)
    for (const uri of founders) if (!roles.has(uri)) roles.set(uri, 'left')
    this.#roles = roles
    this.#list = [...roles].map(([uri, role]) => ({ uri, role }))
    this.#tree = tree
  }

  async #uris(top: readonly TreeEntry[], directory: string): Promise<readonly AccountUri[]> {
    const [first, second] = directory.split('/')
    const outer = subtree(top, first)
    const known = this.#names.get(directory)
    if (known && known.outer === outer) return known.uris
    const inner = second === undefined || outer === undefined ? outer : subtree(await this.#entries(outer), second)
    const names = inner === undefined ? [] : (await this.#entries(inner)).map(({ name }) => name.replace(/\.crt$/, ''))
    const uris = names.filter((name): name is AccountUri => /^[0-9a-f]{40}$/.test(name))
    this.#names.set(directory, { outer, uris })
    return uris
  }

  async #entries(tree: Oid): Promise<TreeEntry[]> {
    const object = await this.#reader.read(tree)
    return object?.type === 'tree' ? decodeTree(object.data) : []
  }
}

function subtree(entries: readonly TreeEntry[], name: string | undefined): Oid | undefined {
  return entries.find((entry) => entry.name === name && entry.mode === TREE_MODE)?.oid
}
