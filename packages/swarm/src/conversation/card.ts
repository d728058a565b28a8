// The card of a conversation as main's tree has it: its title is at hand, everything else is read when it is asked for.
// docs/protocol/04 §2.1. Proof: conversation/membership.test.ts.
import { readFile } from '../repo/edit-tree.ts'
import { BLOB_MODE, decodeTree, type Oid } from '../repo/object.ts'
import { paths } from '../repo/tree-paths.ts'
import type { ObjectReader } from '../repo/types.ts'
import { parseProfile, type ProfileCard } from './profile-card.ts'

export class Card {
  readonly #reader: ObjectReader
  #tree: Oid | undefined
  #file: Oid | undefined
  #title: string | undefined

  constructor(reader: ObjectReader) {
    this.#reader = reader
  }

  get title(): string | undefined {
    return this.#title
  }

  /** Reads the top of the tree, and the card when it is another one. @returns true when it is, and this is not the first look */
  async refresh(tree: Oid): Promise<boolean> {
    if (tree === this.#tree) return false
    const top = await this.#reader.read(tree)
    const file = top?.type === 'tree' ? decodeTree(top.data).find(({ name, mode }) => name === paths.profile && mode === BLOB_MODE)?.oid : undefined
    const changed = file !== this.#file
    if (changed) this.#title = (await readCard(this.#reader, tree)).title
    const first = this.#tree === undefined
    this.#file = file
    this.#tree = tree
    return changed && !first
  }
}

/** Empty when there is none. */
export async function readCard(reader: Pick<ObjectReader, 'read'>, tree: Oid): Promise<ProfileCard> {
  const card = await readFile(reader, tree, paths.profile)
  return card ? parseProfile(card.data) : {}
}
