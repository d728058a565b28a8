// Who is in a conversation, as its newest tree says, and who was banned from it. Only directories that changed are read again.
// docs/protocol/04 §2 (precedence of roles), §4.2 (bans). Proof: conversation/members.test.ts.
import type { AccountUri, DeviceId, MemberRole } from '@jamikit/core/contracts'
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
/** Whoever lies here may do nothing, wherever else their name is. */
const BANS: readonly string[] = ['banned/members', 'banned/admins', 'banned/invited']

export class Members {
  readonly #reader: ObjectReader
  readonly #names = new Map<string, { outer: Oid | undefined; names: readonly string[] }>() // one for each place
  #tree: Oid | undefined
  #roles: ReadonlyMap<AccountUri, MemberRole> = new Map()
  #list: readonly Member[] = []
  #bans: ReadonlySet<AccountUri> = new Set()
  #bannedDevices: ReadonlySet<string> = new Set()

  constructor(reader: ObjectReader) {
    this.#reader = reader
  }

  /** The same array until somebody's role changes. */
  get list(): readonly Member[] {
    return this.#list
  }

  roleOf(uri: AccountUri): MemberRole | undefined {
    return this.#roles.get(uri)
  }

  /** By the tree: the account, or this device of whomever. */
  isBanned(uri: AccountUri, device?: DeviceId): boolean {
    return this.#bans.has(uri) || (device !== undefined && this.#bannedDevices.has(device))
  }

  /**
   * Reads the top once, then the directories that are not the ones of before. @param founders who is shown as `left` when found nowhere (both
   * sides of a 1:1) @returns accounts that are banned now and were not before
   */
  async refresh(tree: Oid, founders: readonly AccountUri[]): Promise<AccountUri[]> {
    if (tree === this.#tree) return []
    const top = await this.#entries(tree)
    const roles = new Map<AccountUri, MemberRole>() // bounded by the tree's entries
    for (const [directory, role] of PLACES) for (const uri of await this.#uris(top, directory)) if (!roles.has(uri)) roles.set(uri, role)
    for (const uri of founders) if (!roles.has(uri)) roles.set(uri, 'left')
    const bans = new Set<AccountUri>() // bounded by the tree's entries
    for (const directory of BANS) for (const uri of await this.#uris(top, directory)) bans.add(uri)
    const devices = await this.#namesIn(top, 'banned/devices')
    const fresh = [...bans].filter((uri) => !this.#bans.has(uri))
    this.#bans = bans
    this.#bannedDevices = new Set(devices)
    const same = roles.size === this.#list.length && [...roles].every(([uri, role], i) => this.#list[i]?.uri === uri && this.#list[i]?.role === role)
    if (!same) {
      this.#roles = roles
      this.#list = [...roles].map(([uri, role]) => ({ uri, role }))
    }
    this.#tree = tree
    return fresh
  }

  async #uris(top: readonly TreeEntry[], directory: string): Promise<readonly AccountUri[]> {
    return (await this.#namesIn(top, directory)).filter((name): name is AccountUri => /^[0-9a-f]{40}$/.test(name))
  }

  async #namesIn(top: readonly TreeEntry[], directory: string): Promise<readonly string[]> {
    const [first, second] = directory.split('/')
    const outer = subtree(top, first)
    const known = this.#names.get(directory)
    if (known && known.outer === outer) return known.names
    const inner = second === undefined || outer === undefined ? outer : subtree(await this.#entries(outer), second)
    const names = inner === undefined ? [] : (await this.#entries(inner)).map(({ name }) => name.replace(/\.crt$/, ''))
    this.#names.set(directory, { outer, names })
    return names
  }

  async #entries(tree: Oid): Promise<TreeEntry[]> {
    const object = await this.#reader.read(tree)
    return object?.type === 'tree' ? decodeTree(object.data) : []
  }
}

function subtree(entries: readonly TreeEntry[], name: string | undefined): Oid | undefined {
  return entries.find((entry) => entry.name === name && entry.mode === TREE_MODE)?.oid
}
