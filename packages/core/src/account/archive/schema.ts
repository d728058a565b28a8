// The JSON of an account archive: what it must hold, what is ignored, what is kept as it came. One bad contact or
// conversation costs itself, a bad key or certificate the archive. Pure. docs/protocol/03 §3.3, §5.2, §5.6, §6.5.
// Proof: account/archive/archive.test.ts.
import { JamiError } from '../../base/errors.ts'
import { equalBytes, fromBase64, fromUtf8, toBase64, utf8 } from '../../codec/bytes.ts'
import type { CertificateChain, PrivateKey } from '../../contracts/identity.ts'
import type { AccountUri, ConversationId, MessageId } from '../../contracts/ids.ts'
import { privateKeyFromPem } from '../../crypto/keys.ts'
import { chainToPem, parseChain } from '../../identity/certificate.ts'
import { parseAccountUri, parseConversationId, parseMessageId } from '../../identity/ids.ts'
import { TAG } from '../../identity/der.ts'
import { toPem } from '../../identity/pem.ts'
import { parseRevocationList, type RevocationList, verifyRevocationList } from '../../identity/revocation.ts'
import { verifyIssued } from '../../identity/verify-chain.ts'
import { type JsonObject, parseJsonObject, stringifySorted } from './json.ts'

/** Times are Unix milliseconds; 0 = never. */
export interface ArchiveContact {
  readonly uri: AccountUri
  readonly addedMs: number
  readonly removedMs: number
  readonly confirmed: boolean
  readonly banned: boolean
  readonly conversationId: ConversationId | undefined
}

export interface ArchiveConversation {
  readonly id: ConversationId
  readonly createdMs: number
  readonly removedMs: number
  readonly erasedMs: number
  readonly members: readonly AccountUri[]
  readonly lastDisplayed: MessageId | undefined
  readonly mode: number | undefined
  /** When each member was invited. */
  readonly invited: ReadonlyMap<AccountUri, number>
}

export interface ArchiveRequest {
  readonly id: ConversationId
  readonly from: AccountUri
  readonly receivedMs: number
  readonly declinedMs: number
  readonly metadatas: ReadonlyMap<string, string>
}

export interface AccountArchive {
  readonly accountKey: PrivateKey
  /** account → CA */
  readonly accountChain: CertificateChain
  readonly caKey: PrivateKey | undefined
  readonly ethKey: Uint8Array | undefined
  /** Verified with the account certificate. */
  readonly revocationList: RevocationList | undefined
  readonly contacts: readonly ArchiveContact[]
  readonly conversations: readonly ArchiveConversation[]
  readonly requests: readonly ArchiveRequest[]
  /** Account settings and every unknown text entry, as they came. */
  readonly settings: ReadonlyMap<string, string>
}

const KEYS = {
  accountKey: 'ringAccountKey', accountCert: 'ringAccountCert', caKey: 'ringCaKey', ethKey: 'ethKey', crl: 'ringAccountCRL',
  contacts: 'ringAccountContacts', conversations: 'conversations', requests: 'conversationsRequests',
} as const
const OWN_KEYS: ReadonlySet<string> = new Set(Object.values(KEYS))
/** Old archives carry another device's key here, or settings that belong to one machine: never read. */
const IGNORED: ReadonlySet<string> = new Set([
  'TLS.certificateListFile', 'TLS.certificateFile', 'TLS.privateKeyFile', 'Account.dhtProxyListUrl', 'Account.autoAnswer',
  'Account.proxyEnabled', 'Account.proxyServer', 'Account.proxyPushToken',
])
const NEVER_WRITTEN: ReadonlySet<string> = new Set([
  ...IGNORED, 'Account.ringtonePath', 'Account.archivePath', 'Account.deviceID', 'Account.deviceName', 'Account.dhtPort',
])
const MODE_DOCUMENT = 4

/** @throws ERR_ARCHIVE_INVALID, ERR_LIMIT */
export function parseArchive(text: string): AccountArchive {
  const json = parseJsonObject(text)
  const accountKey = keyOf(json, KEYS.accountKey) ?? refuse(KEYS.accountKey, 'nothing', 'the account key')
  const accountChain = chainOf(json, accountKey)
  const [account, ca] = accountChain
  const caKey = keyOf(json, KEYS.caKey)
  if (caKey && ca && !equalBytes(caKey.publicKey, ca.publicKey)) refuse(KEYS.caKey, 'another key', 'the key of the CA certificate')
  const ethKey = bytesOf(json, KEYS.ethKey)
  if (ethKey && ethKey.length !== 32) refuse(KEYS.ethKey, `${ethKey.length} bytes`, '32 bytes')
  const crl = bytesOf(json, KEYS.crl)
  const revocationList = crl && guarded(KEYS.crl, () => parseRevocationList(crl))
  if (revocationList && !verifyRevocationList(revocationList, account)) refuse(KEYS.crl, 'a list that the account did not sign', "the account's own list")
  const settings = new Map<string, string>() // bounded by the archive's size
  for (const [key, value] of Object.entries(json)) if (typeof value === 'string' && !OWN_KEYS.has(key) && !IGNORED.has(key)) settings.set(key, value)
  return {
    accountKey, accountChain, caKey, ethKey, revocationList, settings,
    contacts: each(json[KEYS.contacts], contactOf),
    conversations: each(json[KEYS.conversations], conversationOf),
    requests: each(json[KEYS.requests], requestOf),
  }
}

/** Compact, keys sorted. Settings of one device and document conversations are left out. */
export function archiveToJson(archive: AccountArchive): string {
  const json = Object.create(null) as Record<string, unknown> // so that __proto__ is a key like any other
  for (const [key, value] of archive.settings) if (!OWN_KEYS.has(key) && !NEVER_WRITTEN.has(key)) json[key] = value
  const pem = (text: string) => toBase64(utf8(text))
  json[KEYS.accountKey] = pem(archive.accountKey.pem)
  json[KEYS.accountCert] = pem(chainToPem(archive.accountChain))
  if (archive.caKey) json[KEYS.caKey] = pem(archive.caKey.pem)
  if (archive.ethKey) json[KEYS.ethKey] = toBase64(archive.ethKey)
  if (archive.revocationList) json[KEYS.crl] = toBase64(archive.revocationList.der)
  const kept = archive.conversations.filter((conversation) => conversation.mode !== MODE_DOCUMENT)
  if (archive.contacts.length > 0) json[KEYS.contacts] = Object.fromEntries(archive.contacts.map((contact) => [contact.uri, contactToJson(contact)]))
  if (kept.length > 0) json[KEYS.conversations] = Object.fromEntries(kept.map((conversation) => [conversation.id, conversationToJson(conversation)]))
  if (archive.requests.length > 0) json[KEYS.requests] = Object.fromEntries(archive.requests.map((request) => [request.id, requestToJson(request)]))
  return stringifySorted(json)
}

function chainOf(json: JsonObject, accountKey: PrivateKey): CertificateChain {
  const bytes = bytesOf(json, KEYS.accountCert) ?? refuse(KEYS.accountCert, 'nothing', 'the account certificate and its issuer')
  const chain = guarded(KEYS.accountCert, () => parseChain(bytes))
  if (!equalBytes(chain[0].publicKey, accountKey.publicKey)) refuse(KEYS.accountCert, 'a certificate of another key', 'the certificate of the account key')
  for (const [level, certificate] of chain.entries()) {
    if (!verifyIssued(certificate, chain[level + 1] ?? certificate)) refuse(KEYS.accountCert, 'a chain that does not verify', 'a chain up to a self-signed CA')
  }
  return chain
}

function keyOf(json: JsonObject, name: string): PrivateKey | undefined {
  const bytes = bytesOf(json, name)
  return bytes && guarded(name, () => privateKeyFromPem(bytes[0] === TAG.sequence ? toPem(bytes, 'PRIVATE KEY') : fromUtf8(bytes)))
}

function bytesOf(json: JsonObject, name: string): Uint8Array | undefined {
  const value = json[name]
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') return refuse(name, typeof value, 'base64 text')
  return guarded(name, () => fromBase64(value))
}

/** Records of an object, each by its key; what does not fit is left out. */
function each<T>(value: unknown, read: (key: string, record: JsonObject) => T): T[] {
  const out: T[] = [] // bounded by the archive's size
  if (!isObject(value)) return out
  for (const [key, record] of Object.entries(value)) {
    if (!isObject(record)) continue
    try {
      out.push(read(key, record))
    } catch {
      // a bad record costs itself
    }
  }
  return out
}

function contactOf(uri: string, json: JsonObject): ArchiveContact {
  const conversation = json.conversationId
  return {
    uri: parseAccountUri(uri),
    addedMs: dateOf(json, 'added'),
    removedMs: dateOf(json, 'removed'),
    confirmed: json.confirmed === true,
    banned: json.banned === true,
    conversationId: typeof conversation === 'string' && conversation !== '' ? parseConversationId(conversation) : undefined,
  }
}

function contactToJson(contact: ArchiveContact): JsonObject {
  return {
    ...dates('added', contact.addedMs, true),
    ...dates('removed', contact.removedMs),
    ...(contact.confirmed ? { confirmed: true } : {}),
    ...(contact.banned ? { banned: true } : {}),
    conversationId: contact.conversationId ?? '',
  }
}

function conversationOf(key: string, json: JsonObject): ArchiveConversation {
  const members = Array.isArray(json.members) ? json.members : []
  const invited = isObject(json.invited) ? Object.entries(json.invited) : []
  const displayed = json.lastDisplayed
  return {
    id: parseConversationId(typeof json.id === 'string' ? json.id : key),
    createdMs: dateOf(json, 'created'),
    removedMs: dateOf(json, 'removed'),
    erasedMs: dateOf(json, 'erased'),
    members: members.map((member: unknown) => parseAccountUri(String(isObject(member) ? member.uri : member))),
    lastDisplayed: typeof displayed === 'string' && displayed !== '' ? parseMessageId(displayed) : undefined,
    mode: Number.isInteger(json.mode) ? Number(json.mode) : undefined,
    invited: new Map(invited.filter(([, ms]) => isDate(ms)).map(([uri, ms]) => [parseAccountUri(uri), Number(ms)])),
  }
}

function conversationToJson(conversation: ArchiveConversation): JsonObject {
  return {
    id: conversation.id,
    ...dates('created', conversation.createdMs, true),
    ...dates('removed', conversation.removedMs),
    ...dates('erased', conversation.erasedMs),
    members: conversation.members.map((uri) => ({ uri })),
    ...(conversation.lastDisplayed === undefined ? {} : { lastDisplayed: conversation.lastDisplayed }),
    ...(conversation.mode === undefined ? {} : { mode: conversation.mode }),
    ...(conversation.invited.size === 0 ? {} : { invited: Object.fromEntries(conversation.invited) }),
  }
}

function requestOf(key: string, json: JsonObject): ArchiveRequest {
  const metadatas = isObject(json.metadatas) ? Object.entries(json.metadatas) : []
  return {
    id: parseConversationId(typeof json.conversationId === 'string' ? json.conversationId : key),
    from: parseAccountUri(String(json.from)),
    receivedMs: dateOf(json, 'received'),
    declinedMs: dateOf(json, 'declined'),
    metadatas: new Map(metadatas.filter((entry): entry is [string, string] => typeof entry[1] === 'string')),
  }
}

function requestToJson(request: ArchiveRequest): JsonObject {
  return {
    conversationId: request.id,
    from: request.from,
    ...dates('received', request.receivedMs, true),
    ...dates('declined', request.declinedMs),
    metadatas: Object.fromEntries(request.metadatas),
  }
}

/** Both forms, as old and new readers want them. */
function dates(name: string, ms: number, always = false): JsonObject {
  return ms === 0 && !always ? {} : { [name]: Math.floor(ms / 1000), [`${name}Ms`]: ms }
}

/** Milliseconds when present, else seconds. */
function dateOf(json: JsonObject, name: string): number {
  const ms = json[`${name}Ms`]
  const seconds = json[name]
  return isDate(ms) ? ms : isDate(seconds) ? Math.min(seconds * 1000, Number.MAX_SAFE_INTEGER) : 0
}

function isDate(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function guarded<T>(field: string, fn: () => T): T {
  try {
    return fn()
  } catch (error) {
    throw new JamiError('ERR_ARCHIVE_INVALID', `account archive, ${field}: ${JamiError.from(error).message}`, { details: { field } })
  }
}

function refuse(field: string, got: string, allowed: string): never {
  throw new JamiError('ERR_ARCHIVE_INVALID', `account archive, ${field}: got ${got}, allowed ${allowed}`, { details: { field, got, allowed } })
}
