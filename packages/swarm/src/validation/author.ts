// Who wrote a commit, as proven by the certificates in a tree: device and account, the link between them, the commit's signature.
// Certificates may begin after the commit's time: clocks differ, and the peers look at the end only.
// docs/protocol/04 §1.7, §3.3, traps S1, S2. Proof: validation/validate-commit.test.ts, validation/validate-history.test.ts.
import type { AccountUri, Certificate, CertificateChain, Crypto, DeviceIdentity } from '@jamikit/core/contracts'
import { accountUriOf, deviceIdOf, parseCertificate, parseChain, verifyIssued } from '@jamikit/core/identity'
import { JamiError } from '@jamikit/core/base'
import { type Commit, parseCommit } from '../repo/commit.ts'
import { readFile } from '../repo/edit-tree.ts'
import { type Oid, repoInvalid } from '../repo/object.ts'
import { BAN_KINDS, paths } from '../repo/tree-paths.ts'
import type { ObjectReader } from '../repo/types.ts'
import type { Budget, Trees } from './trees.ts'

/** One certificate file: a chain of PEM blocks. */
export const MAX_CERTIFICATE_FILE = 65_536
/** Proofs that are remembered, each kind. */
const MAX_PROVEN = 4096

export interface Author {
  readonly uri: AccountUri
  readonly device: Certificate
  readonly account: Certificate
}

/** A certificate file's content, typed. @throws ERR_REPO_INVALID */
export function readChain(bytes: Uint8Array, path: string): CertificateChain {
  try {
    return parseChain(bytes)
  } catch (cause) {
    throw new JamiError('ERR_REPO_INVALID', `${path}: not a certificate chain`, { cause, details: { path } })
  }
}

/** @throws ERR_REPO_INVALID */
export function readCertificate(bytes: Uint8Array, path: string): Certificate {
  try {
    return parseCertificate(bytes)
  } catch (cause) {
    throw new JamiError('ERR_REPO_INVALID', `${path}: not a certificate`, { cause, details: { path } })
  }
}

/** The account that a device certificate names. */
export function issuerOf(device: Certificate): AccountUri | undefined {
  const uri = (device.issuerUid ?? '').toLowerCase()
  return /^[0-9a-f]{40}$/.test(uri) ? (uri as AccountUri) : undefined
}

export class Authors {
  readonly #crypto: Crypto
  readonly #trees: Trees
  readonly #devices = new Map<Oid, Certificate>() // by their blob; bounded by MAX_PROVEN
  readonly #proven = new Map<string, Author>() // by the two blobs that prove it; bounded by MAX_PROVEN
  readonly #active = new Map<string, Author>() // by tree and device; bounded by MAX_PROVEN

  constructor(crypto: Crypto, trees: Trees) {
    this.#crypto = crypto
    this.#trees = trees
  }

  /** The account that the commit's device wrote as, proven in `tree`. @throws ERR_REPO_INVALID, ERR_LIMIT */
  async in(tree: Oid, commit: Pick<Commit, 'device' | 'committerTimeS'>, budget: Budget): Promise<Author> {
    const author = await this.#prove(tree, commit.device, budget)
    const at = commit.committerTimeS * 1000
    for (const c of [author.device, author.account]) if (at > c.notAfterMs) throw repoInvalid('author: a certificate had expired at the time of the commit')
    return author
  }

  /** In a tree that many commits share it is looked up once. */
  async #prove(tree: Oid, device: string, budget: Budget): Promise<Author> {
    const key = `${tree} ${device}`
    const known = this.#active.get(key)
    if (known) return known
    const author = await this.#proveIn(tree, device, budget)
    if (this.#active.size >= MAX_PROVEN) this.#active.clear()
    this.#active.set(key, author)
    return author
  }

  async #proveIn(tree: Oid, device: string, budget: Budget): Promise<Author> {
    const path = paths.device(device)
    const deviceOid = await this.#trees.file(tree, path, budget)
    if (!deviceOid) throw repoInvalid(`author: device ${device} has no certificate in the conversation`)
    const certificate = this.#devices.get(deviceOid) ?? readCertificate(await this.#trees.blob(deviceOid, MAX_CERTIFICATE_FILE), path)
    if (this.#devices.size >= MAX_PROVEN) this.#devices.clear()
    this.#devices.set(deviceOid, certificate)
    if (deviceIdOf(certificate.publicKey) !== device) throw repoInvalid('author: the certificate is of another device')
    const uri = issuerOf(certificate)
    if (!uri) throw repoInvalid('author: the device certificate names no account')
    const accountOid = (await this.#trees.file(tree, paths.member(uri), budget)) ?? (await this.#trees.file(tree, paths.admin(uri), budget))
    if (!accountOid) throw repoInvalid(`author: account ${uri} is not a member`)
    for (const kind of BAN_KINDS) if (await this.#trees.file(tree, paths.banned(kind, kind === 'devices' ? device : uri), budget)) throw repoInvalid(`author: ${kind === 'devices' ? `device ${device}` : `account ${uri}`} is banned`)
    const key = `${deviceOid} ${accountOid}`
    const known = this.#proven.get(key)
    if (known) return known
    const [account] = readChain(await this.#trees.blob(accountOid, MAX_CERTIFICATE_FILE), paths.member(uri))
    if (accountUriOf(account.publicKey) !== uri) throw repoInvalid('author: the account certificate is of another account')
    if (!verifyIssued(certificate, account)) throw repoInvalid('author: the account did not certify the device')
    const author = { uri, device: certificate, account }
    if (this.#proven.size >= MAX_PROVEN) this.#proven.clear()
    this.#proven.set(key, author)
    return author
  }

  /** @throws ERR_REPO_INVALID */
  async verify(commit: Commit, author: Author): Promise<void> {
    if (!(await this.#crypto.verify(author.device.publicKey, commit.signed, commit.signature))) throw repoInvalid('the signature does not verify')
  }
}

/** The account of a commit that was validated before, from the certificates in its tree (of its parent when its author left). */
export async function authorIn(commit: Pick<Commit, 'tree' | 'parents' | 'device'>, reader: Pick<ObjectReader, 'read'>): Promise<AccountUri | undefined> {
  const file = (tree: Oid) => readFile(reader, tree, paths.device(commit.device))
  let found = await file(commit.tree)
  const [parent] = commit.parents
  if (!found && parent !== undefined) {
    const object = await reader.read(parent)
    if (object?.type === 'commit') found = await file(parseCommit(object.data).tree)
  }
  return found && issuerOf(parseCertificate(found.data))
}

/** A device may write on top of a tree: it is there, its account is in, and neither is banned. */
export async function mayWrite(reader: Pick<ObjectReader, 'read'>, tree: Oid, { accountId, deviceId }: Pick<DeviceIdentity, 'accountId' | 'deviceId'>): Promise<boolean> {
  const has = async (path: string) => (await readFile(reader, tree, path)) !== undefined
  for (const kind of BAN_KINDS) if (await has(paths.banned(kind, kind === 'devices' ? deviceId : accountId))) return false
  return (await has(paths.device(deviceId))) && ((await has(paths.member(accountId))) || (await has(paths.admin(accountId))))
}
