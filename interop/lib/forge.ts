// Writes commits into a bare repository as nobody may, byte by byte, with the keys of people who do not exist: what hostile git servers serve.
import { spawnSync } from 'node:child_process'
import { createPrivateKey, sign } from 'node:crypto'

/** A device of an account, with everything to forge with. */
export interface Who {
  readonly account: string
  readonly device: string
  readonly key: string
  /** device, account, its issuers; PEM. */
  readonly chain: readonly string[]
}

/** Path -> content, or id of a blob that is there; with a mode other than 100644 where it is forged, too. */
export type Tree = ReadonlyMap<string, { readonly oid: string; readonly mode: string }>

export interface Forged {
  readonly parents: readonly string[]
  readonly tree: Tree
  readonly message: string
  readonly by: Who
  /** Seconds. */
  readonly time: number
  /** Who signs; `by` when it is left out, nobody, or a signature of other bytes. */
  readonly signed?: Who | 'nobody' | 'wrong'
  /** Device that the author line names. */
  readonly email?: string
  /** Author's name. */
  readonly name?: string
}

const pem = (text: string) => (text.endsWith('\n') ? text : `${text}\n`)
export const accountFile = (who: Who) => who.chain.slice(1).map(pem).join('')
export const deviceFile = (who: Who) => pem(who.chain[0] ?? '')

export class Forge {
  readonly repository: string

  constructor(repository: string) {
    this.repository = repository
  }

  static create(repository: string): Forge {
    const made = spawnSync('git', ['init', '-q', '--bare', '-b', 'main', repository], { encoding: 'utf8' })
    if (made.status !== 0) throw new Error(`git init: ${made.stderr}`)
    return new Forge(repository)
  }

  git(input: string | Buffer, ...args: string[]): string {
    const result = spawnSync('git', ['-c', 'safe.directory=*', `--git-dir=${this.repository}`, ...args], { input, encoding: 'latin1', maxBuffer: 1 << 26 })
    if (result.status !== 0) throw new Error(`git ${args.join(' ')}: ${result.stderr}`)
    return result.stdout.trim()
  }

  blob(content: string | Buffer): string {
    return this.git(content, 'hash-object', '-w', '--stdin')
  }

  /** The tree of a commit, changed: a string is a file's content, null takes it away. */
  tree(base: Tree, change: Readonly<Record<string, string | Buffer | null | { readonly content: string; readonly mode: string }>>): Tree {
    const made = new Map(base)
    for (const [path, value] of Object.entries(change)) {
      if (value === null) made.delete(path)
      else if (typeof value === 'string' || Buffer.isBuffer(value)) made.set(path, { oid: this.blob(value), mode: '100644' })
      else made.set(path, { oid: this.blob(value.content), mode: value.mode })
    }
    return made
  }

  treeOf(commit: string): Tree {
    const lines = this.git('', 'ls-tree', '-r', commit).split('\n').filter((line) => line !== '')
    return new Map(lines.map((line) => {
      const [, mode = '', oid = '', path = ''] = /^(\d+) \w+ ([0-9a-f]{40})\t(.+)$/.exec(line) ?? []
      return [path, { oid, mode }]
    }))
  }

  #write(tree: Tree): string {
    const lines: string[] = []
    const folders = new Map<string, Map<string, { oid: string; mode: string }>>()
    for (const [path, entry] of tree) {
      const at = path.indexOf('/')
      if (at < 0) lines.push(`${entry.mode} blob ${entry.oid}\t${path}`)
      else {
        const folder = folders.get(path.slice(0, at)) ?? new Map<string, { oid: string; mode: string }>()
        folders.set(path.slice(0, at), folder.set(path.slice(at + 1), entry))
      }
    }
    for (const [name, entries] of folders) lines.push(`040000 tree ${this.#write(entries)}\t${name}`)
    return this.git(`${lines.join('\n')}\n`, 'mktree')
  }

  commit({ parents, tree, message, by, time, signed = by, email = by.device, name = 'Mallory' }: Forged): string {
    const who = `${name} <${email}> ${time} +0000`
    const head = [`tree ${this.#write(tree)}`, ...parents.map((parent) => `parent ${parent}`), `author ${who}`, `committer ${who}`].join('\n')
    const bytes = Buffer.from(`${head}\n\n${message}`)
    const signature = signed === 'nobody' ? undefined : sign('RSA-SHA512', signed === 'wrong' ? Buffer.concat([bytes, Buffer.from(' ')]) : bytes, createPrivateKey((signed === 'wrong' ? by : signed).key)).toString('base64')
    const object = signature === undefined ? bytes : Buffer.from(`${head}\nsignature ${signature}\n\n${message}`)
    return this.git(object, 'hash-object', '-w', '-t', 'commit', '--stdin', '--literally')
  }

  main(commit: string): void {
    this.git('', 'update-ref', 'refs/heads/main', commit)
  }

  get head(): string {
    return this.git('', 'rev-parse', 'refs/heads/main')
  }
}
