// Captured archives of daemons of 2023 and 2026, exact round trips, refusals, bounds, fuzz. With a fast stand-in for Argon2
// except where the real derivation is the point.
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { accounts, base64, vectorBytes } from '../../../test/vectors.ts'
import { JamiError } from '../../base/errors.ts'
import { concatBytes, fromUtf8, toBase64, toHex, utf8 } from '../../codec/bytes.ts'
import type { Crypto } from '../../contracts/crypto.ts'
import type { AccountUri, ConversationId, MessageId } from '../../contracts/ids.ts'
import { aesGcmOpen, aesGcmSeal } from '../../crypto/aes-gcm.ts'
import { sha256 } from '../../crypto/hash.ts'
import { nodeCrypto } from '../../crypto/node-crypto.ts'
import { chainToPem } from '../../identity/certificate.ts'
import { createRevocationList } from '../../identity/revocation.ts'
import { ManualClock } from '../../testing/manual-clock.ts'
import { SeededRandom } from '../../testing/seeded-random.ts'
import { testCrypto } from '../../testing/test-crypto.ts'
import { testIdentity } from '../../testing/test-identities.ts'
import { encodeArchive, openArchive } from './archive.ts'
import { archiveKey, MAX_FILE_BYTES } from './container.ts'
import { type AccountArchive, archiveToJson, parseArchive } from './schema.ts'

const random = new SeededRandom('archive')
/** Argon2 replaced by a hash, so that hundreds of passwords are tried in no time. */
const crypto: Crypto = { ...testCrypto(), argon2i: async (password, salt) => sha256(concatBytes(password, salt)) }
const PASSWORD = 'correct horse'
const identity = testIdentity(0)
const bare = { accountKey: identity.accountKey, accountChain: identity.accountChain, caKey: identity.caKey, ethKey: identity.ethKey, revocationList: undefined } as const
const archive: AccountArchive = { ...bare, contacts: [], conversations: [], requests: [], settings: new Map([['Account.displayName', 'Zoë'], ['Unknown.key', 'kept']]) }
const json = (change: (object: Record<string, unknown>) => void = () => {}): string => {
  const object = JSON.parse(archiveToJson(archive)) as Record<string, unknown>
  change(object)
  return JSON.stringify(object)
}
const uri = (c: string) => c.repeat(40) as AccountUri
const conversation = (c: string) => c.repeat(40) as ConversationId
const sealed = async (inner: Uint8Array, password = PASSWORD) => {
  const salt = random.bytes(16)
  return concatBytes(salt, aesGcmSeal(await archiveKey(crypto, password, salt), inner))
}

describe('captured archives', () => {
  it('ACC-15 ACC-17 a clear and a password-protected one of daemon 16.0.0 hold the same account', async () => {
    const plain = await openArchive(nodeCrypto(), vectorBytes('archive-plain.gz'))
    const locked = await openArchive(nodeCrypto(), vectorBytes('archive-locked.gz'), { password: PASSWORD })
    expect([plain.salt, plain.key]).toEqual([undefined, undefined])
    expect([locked.salt?.length, locked.key?.length]).toEqual([16, 32])
    for (const { archive: opened } of [plain, locked]) {
      expect(opened.accountChain[0].shortId).toBe('0fb06a2c1f40987b7c2094bf66e9a9231e998eb7')
      expect(opened.accountKey.publicKey).toEqual(opened.accountChain[0].publicKey)
      expect(opened.caKey?.publicKey).toEqual(opened.accountChain[1]?.publicKey)
      expect(opened.ethKey).toHaveLength(32)
      expect(opened.contacts.map((c) => c.uri)).toContain('75eb8993de282b747e94fdf6a4bb2cdb0782ee3a')
      expect(opened.conversations.find((c) => c.id === 'e36a77ca27eebe6bc55ccf63e6862449a20b06ab')).toMatchObject({ createdMs: 1795347007057, mode: 0, members: ['0fb06a2c1f40987b7c2094bf66e9a9231e998eb7', '75eb8993de282b747e94fdf6a4bb2cdb0782ee3a'] })
      expect(opened.settings.get('Account.displayName')).toBe('Carol')
    }
    await expect(openArchive(nodeCrypto(), vectorBytes('archive-locked.gz'), { password: 'incorrect horse' })).rejects.toMatchObject({ code: 'ERR_PASSWORD' })
    // the key of the password opens it, too (scheme "key"), without a derivation
    expect((await openArchive(crypto, vectorBytes('archive-locked.gz'), { key: locked.key ?? new Uint8Array(0) })).archive.accountChain).toEqual(plain.archive.accountChain)
  }, 120_000)

  it('ACC-16 derives keys with Argon2i, 16 passes, 64 MiB, then SHA-256', async () => {
    expect(toHex(await archiveKey(nodeCrypto(), 'pw', utf8('12345678')))).toBe('99dffe8bba37256f731a5c98cf9a4ccf7cea727252532558634bd6732bd97555')
  }, 60_000)

  it('ACC-18 ACC-S2 those of 2023 open, the device key inside them is dropped, seconds become milliseconds', async () => {
    const account = accounts().alice2023
    const file = base64(account.archiveGz ?? '')
    expect(fromUtf8(gunzipSync(file))).toContain('TLS.privateKeyFile')
    const { archive: opened } = await openArchive(crypto, file)
    expect([...opened.settings.keys()].filter((key) => key.startsWith('TLS.'))).toEqual(['TLS.password'])
    expect(archiveToJson(opened)).not.toMatch(/TLS\.(certificate|privateKey|certificateList)File/)
    expect(opened.contacts).toEqual([{ uri: '2714dbdb935ea0ce109ffffbc93376471647df3a', addedMs: 1795347428000, removedMs: 0, confirmed: true, banned: false, conversationId: '1d632a819ec845b2b855a289b25c6136d3fa5efb' }])
    expect(opened.conversations[0]?.createdMs).toBe(1795347428000)
  })

  it('writing the daemon’s archive again loses nothing and changes no member', async () => {
    const theirs = JSON.parse(fromUtf8(gunzipSync(vectorBytes('archive-plain.gz')))) as Record<string, unknown>
    const { archive: opened } = await openArchive(crypto, vectorBytes('archive-plain.gz'))
    const ours = JSON.parse(archiveToJson(opened)) as Record<string, unknown>
    const conversations = theirs.conversations as Record<string, { lastDisplayed?: string }>
    for (const entry of Object.values(conversations)) if (entry.lastDisplayed === '') delete entry.lastDisplayed // empty and absent are the same
    expect(ours).toEqual(theirs)
    expect(Object.keys(ours)).toEqual(Object.keys(ours).toSorted())
  })
})

describe('containers', () => {
  it('ACC-15 writes gzip without a secret and salt, AES-GCM, zlib with one', async () => {
    const clear = await encodeArchive(archive, { crypto, random })
    expect([...clear.subarray(0, 3)]).toEqual([0x1f, 0x8b, 8])
    expect(fromUtf8(gunzipSync(clear))).toBe(archiveToJson(archive))
    const salt = new Uint8Array(16).fill(3)
    const locked = await encodeArchive(archive, { crypto, random, secret: { password: PASSWORD }, salt })
    expect(locked.subarray(0, 16)).toEqual(salt)
    const inner = aesGcmOpen(await archiveKey(crypto, PASSWORD, salt), locked.subarray(16))
    expect(inner[0]).toBe(0x78)
    expect(fromUtf8(inflateSync(inner))).toBe(archiveToJson(archive))
  })

  it('ACC-15 opens every nesting: gzip in gzip, gzip around a protected one, zlib or gzip inside, bare JSON', async () => {
    const text = utf8(json())
    const protectedZlib = await sealed(deflateSync(text))
    const forms: [Uint8Array, boolean][] = [
      [gzipSync(text), false], [gzipSync(gzipSync(text)), false], [text, false],
      [protectedZlib, true], [gzipSync(protectedZlib), true], [await sealed(gzipSync(text)), true],
    ]
    for (const [file, isProtected] of forms) {
      const opened = await openArchive(crypto, file, isProtected ? { password: PASSWORD } : undefined)
      expect(opened.archive).toEqual(archive)
      expect(opened.salt !== undefined).toBe(isProtected)
    }
    expect((await openArchive(crypto, gzipSync(text), { password: 'not needed' })).archive).toEqual(archive)
    expect((await openArchive(crypto, gzipSync(text), { password: '' })).archive).toEqual(archive)
  })

  it('opens a protected file whose salt begins like gzip', async () => {
    const salt = concatBytes(Uint8Array.of(0x1f, 0x8b, 8), random.bytes(13))
    const file = await encodeArchive(archive, { crypto, random, secret: { password: PASSWORD }, salt })
    expect((await openArchive(crypto, file, { password: PASSWORD })).archive).toEqual(archive)
  })

  it('ACC-20 keeps the salt on request, so that a kept key stays valid', async () => {
    const file = await encodeArchive(archive, { crypto, random, secret: { password: PASSWORD } })
    const { salt, key } = await openArchive(crypto, file, { password: PASSWORD })
    if (!key) throw new Error('unreachable')
    const again = await encodeArchive(archive, { crypto, random, secret: { key }, salt })
    expect((await openArchive(crypto, again, { password: PASSWORD })).key).toEqual(key)
    await expect(encodeArchive(archive, { crypto, random, secret: { key } })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(encodeArchive(archive, { crypto, random, secret: { key: new Uint8Array(31) }, salt })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
    await expect(encodeArchive(archive, { crypto, random, secret: { password: 'x' }, salt: new Uint8Array(8) })).rejects.toMatchObject({ code: 'ERR_ARGUMENT' })
  })

  const text = utf8(json())
  it.each<[string, string, () => Uint8Array | Promise<Uint8Array>, string | undefined]>([
    ['a wrong password', 'ERR_PASSWORD', () => sealed(deflateSync(text)), 'other'],
    ['a missing password', 'ERR_PASSWORD', () => sealed(deflateSync(text)), undefined],
    ['an empty password', 'ERR_PASSWORD', () => sealed(deflateSync(text)), ''],
    ['a protected file with a changed end', 'ERR_PASSWORD', async () => concatBytes((await sealed(deflateSync(text))).subarray(0, -1), Uint8Array.of(0)), PASSWORD],
    ['an empty file', 'ERR_ARCHIVE_INVALID', () => new Uint8Array(0), undefined],
    ['a few bytes', 'ERR_ARCHIVE_INVALID', () => new Uint8Array(44), PASSWORD],
    ['a cut gzip file', 'ERR_ARCHIVE_INVALID', () => gzipSync(text).subarray(0, 500), undefined],
    ['a broken inner gzip', 'ERR_ARCHIVE_INVALID', () => gzipSync(gzipSync(text).subarray(0, 500)), undefined],
    ['a protected part that does not inflate', 'ERR_ARCHIVE_INVALID', () => sealed(new Uint8Array(100)), PASSWORD],
    ['a protected part that is no JSON', 'ERR_ARCHIVE_INVALID', () => sealed(deflateSync(utf8('hello'))), PASSWORD],
    ['broken JSON', 'ERR_ARCHIVE_INVALID', () => gzipSync(utf8('{"a":')), undefined],
    ['JSON of another kind', 'ERR_ARCHIVE_INVALID', () => gzipSync(utf8('[]')), undefined],
  ])('ACC-17 tells %s apart: %s', async (_name, code, file, password) => {
    await expect(openArchive(crypto, await file(), password === undefined ? undefined : { password })).rejects.toMatchObject({ code })
  })

  it('ACC-S17 inflates at most 64 MiB, from a file of at most 64 MiB', async () => {
    const bomb = gzipSync(new Uint8Array((64 << 20) + 1).fill(0x20))
    expect(bomb.length).toBeLessThan(100_000)
    for (const [file, secret] of [[bomb, undefined], [gzipSync(bomb), undefined], [await sealed(bomb), { password: PASSWORD }]] as const)
      await expect(openArchive(crypto, file, secret)).rejects.toMatchObject({ code: 'ERR_LIMIT' })
    await expect(openArchive(crypto, new Uint8Array(MAX_FILE_BYTES + 1))).rejects.toMatchObject({ code: 'ERR_LIMIT' })
  }, 30_000)

  it('errors never quote the archive', async () => {
    const secret = 'ringAccountKeySECRET'
    for (const inner of [`{"ringAccountKey":"${secret}"`, `{"ringAccountKey":"${secret}"}`]) {
      const error = (await openArchive(crypto, gzipSync(utf8(inner))).catch((e: unknown) => e)) as Error
      expect(JSON.stringify([error.message, String(error.cause), error])).not.toContain(secret)
    }
  })

  it('any bytes and any damage give a typed error', async () => {
    const file = await encodeArchive(archive, { crypto, random, secret: { password: PASSWORD } })
    const clear = await encodeArchive(archive, { crypto, random })
    const fine = async (bytes: Uint8Array, password?: string) => {
      const error: unknown = await openArchive(crypto, bytes, password === undefined ? undefined : { password }).then(() => undefined, (e: unknown) => e)
      expect(error === undefined || (['ERR_PASSWORD', 'ERR_ARCHIVE_INVALID', 'ERR_LIMIT'] as const).some((code) => JamiError.is(error, code))).toBe(true)
    }
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 120 }), fc.option(fc.string(), { nil: undefined }), fine), { numRuns: 5000 })
    await fc.assert(
      fc.asyncProperty(fc.nat(clear.length - 1), fc.nat(255), async (at, byte) => {
        for (const [base, password] of [[clear, undefined], [file, PASSWORD]] as const) {
          const damaged = base.slice()
          damaged[at % base.length] = byte
          await fine(damaged, password)
        }
      }),
      { numRuns: 2500 },
    )
  }, 120_000)
})

describe('contents', () => {
  it('go round', async () => {
    const env = { crypto: testCrypto(), clock: new ManualClock(), random }
    const full: AccountArchive = {
      ...archive,
      revocationList: await createRevocationList(env, { issuer: identity.accountChain[0], issuerKey: identity.accountKey, revoke: [identity.device.chain[0]] }),
      contacts: [
        { uri: uri('a'), addedMs: 1234, removedMs: 0, confirmed: true, banned: false, conversationId: conversation('c') },
        { uri: uri('b'), addedMs: 1000, removedMs: 2500, confirmed: false, banned: true, conversationId: undefined },
      ],
      conversations: [{ id: conversation('c'), createdMs: 5, removedMs: 6, erasedMs: 7, members: [uri('a'), uri('b')], lastDisplayed: 'd'.repeat(40) as MessageId, mode: 2, invited: new Map([[uri('b'), 99]]) }],
      requests: [{ id: conversation('e'), from: uri('a'), receivedMs: 1500, declinedMs: 2500, metadatas: new Map([['title', 'x']]) }],
    }
    const text = archiveToJson(full)
    expect(parseArchive(text)).toEqual(full)
    expect(archiveToJson(parseArchive(text))).toBe(text)
  })

  it('ACC-19 unknown text entries are kept, dates are written in both forms and read in either', () => {
    const text = json((object) => {
      object['Some.future.key'] = 'value'
      object.number = 5
      object.ringAccountContacts = { [uri('a')]: { added: 7 }, [uri('b')]: { added: 7, addedMs: 7123 } }
    })
    const opened = parseArchive(text)
    expect([opened.settings.get('Some.future.key'), opened.settings.has('number')]).toEqual(['value', false])
    expect(opened.contacts.map((contact) => contact.addedMs)).toEqual([7000, 7123])
    const written = JSON.parse(archiveToJson(opened)) as { 'Some.future.key': string; ringAccountContacts: Record<string, object> }
    expect(written['Some.future.key']).toBe('value')
    expect(written.ringAccountContacts).toEqual({ [uri('a')]: { added: 7, addedMs: 7000, conversationId: '' }, [uri('b')]: { added: 7, addedMs: 7123, conversationId: '' } })
  })

  it('ACC-18 settings of one device are neither read nor written', () => {
    const ignored = ['TLS.certificateListFile', 'TLS.certificateFile', 'TLS.privateKeyFile', 'Account.dhtProxyListUrl', 'Account.autoAnswer', 'Account.proxyEnabled', 'Account.proxyServer', 'Account.proxyPushToken']
    const notWritten = [...ignored, 'Account.ringtonePath', 'Account.archivePath', 'Account.deviceID', 'Account.deviceName', 'Account.dhtPort']
    const opened = parseArchive(json((object) => notWritten.forEach((key) => (object[key] = 'x'))))
    for (const key of ignored) expect(opened.settings.has(key)).toBe(false)
    const written = JSON.parse(archiveToJson({ ...opened, settings: new Map([...opened.settings, ...notWritten.map((key): [string, string] => [key, 'x'])]) })) as object
    for (const key of notWritten) expect(written).not.toHaveProperty(key)
  })

  it('texts and keys leave without lone surrogates, which strict JSON readers refuse, escaped or not', () => {
    const text = archiveToJson({ ...archive, settings: new Map([['Account.displayName', 'a\ud83d'], ['key \ude00', 'x']]) })
    expect(text).not.toMatch(/\\ud[89a-f]/i)
    expect(parseArchive(text).settings).toEqual(new Map([['Account.displayName', 'a\ufffd'], ['key \ufffd', 'x']]))
  })

  it('a bad record costs itself only; documents are not written', () => {
    const opened = parseArchive(
      json((object) => {
        object.ringAccountContacts = { [uri('a')]: { addedMs: 1 }, bad: { addedMs: 1 }, [uri('b')]: 'text', [uri('c')]: { addedMs: -1, conversationId: 'short' } }
        object.conversations = { [uri('a')]: { members: [{ uri: 'nobody' }] }, [uri('b')]: { members: [uri('a')], mode: 4 }, [uri('c')]: { id: conversation('d') } }
        object.conversationsRequests = { [uri('a')]: { from: 'nobody' }, [uri('b')]: { from: uri('a'), metadatas: { title: 5, mode: '0' } } }
      }),
    )
    expect(opened.contacts.map((c) => c.uri)).toEqual([uri('a')])
    expect(opened.conversations.map((c) => c.id)).toEqual([uri('b'), conversation('d')])
    expect(opened.requests.map((r) => [r.id, [...r.metadatas]])).toEqual([[uri('b'), [['mode', '0']]]])
    expect(Object.keys((JSON.parse(archiveToJson(opened)) as { conversations: object }).conversations)).toEqual([conversation('d')])
  })

  const b64 = (value: string) => toBase64(utf8(value))
  const other = testIdentity(1)
  it.each<[string, (object: Record<string, unknown>) => void]>([
    ['no account key', (o) => delete o.ringAccountKey],
    ['an account key that is none', (o) => (o.ringAccountKey = b64('key'))],
    ['an account key that is no base64', (o) => (o.ringAccountKey = '???')],
    ['an account key of another kind', (o) => (o.ringAccountKey = 5)],
    ['no certificate', (o) => delete o.ringAccountCert],
    ['a certificate of another key', (o) => (o.ringAccountCert = b64(chainToPem(other.accountChain)))],
    ['an account without its CA', (o) => (o.ringAccountCert = b64(identity.accountChain[0].pem))],
    ['a CA that did not sign', (o) => (o.ringAccountCert = b64(identity.accountChain[0].pem + (other.accountChain[1]?.pem ?? '')))],
    ['a CA key of another CA', (o) => (o.ringCaKey = b64(other.caKey?.pem ?? ''))],
    ['an eth key of 31 bytes', (o) => (o.ethKey = toBase64(new Uint8Array(31)))],
    ['a broken revocation list', (o) => (o.ringAccountCRL = b64('crl'))],
    ['a revocation list of another account', (o) => (o.ringAccountCRL = toBase64(vectorBytes('account-crl.der')))],
  ])('ACC-17 refuses %s', (_name, change) => {
    expect(() => parseArchive(json(change))).toThrow(expect.objectContaining({ code: 'ERR_ARCHIVE_INVALID' }))
  })

  it('opens with the key and the certificate alone', () => {
    const opened = parseArchive(json((o) => ['ringCaKey', 'ethKey', 'Account.displayName', 'Unknown.key'].forEach((key) => delete o[key])))
    expect([opened.caKey, opened.ethKey, opened.settings.size]).toEqual([undefined, undefined, 0])
  })

  it('accepts DER inside the base64', () => {
    const der = Buffer.from(identity.accountKey.pem.replace(/-----.*-----|\n/g, ''), 'base64')
    const opened = parseArchive(json((o) => Object.assign(o, { ringAccountKey: toBase64(der), ringAccountCert: toBase64(concatBytes(...identity.accountChain.map((c) => c.der))) })))
    expect(opened.accountKey.publicKey).toEqual(identity.accountKey.publicKey)
  })

  it('JSON is at most 16 levels deep, braces in text do not count', () => {
    const deep = (n: number) => json((o) => (o.x = JSON.parse(`${'['.repeat(n)}${']'.repeat(n)}`) as unknown))
    expect(() => parseArchive(deep(15))).not.toThrow()
    expect(() => parseArchive(deep(16))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
    expect(() => parseArchive(json((o) => (o.x = `"\\${'['.repeat(100)}`)))).not.toThrow()
    expect(() => parseArchive('['.repeat(1_000_000))).toThrow(expect.objectContaining({ code: 'ERR_LIMIT' }))
  })

  it('__proto__ is a key like any other', () => {
    const opened = parseArchive(json().replace('{', '{"__proto__":"x","constructor":"y",'))
    expect(opened.settings.get('__proto__')).toBe('x')
    expect(archiveToJson(opened)).toContain('"__proto__":"x"')
  })
})
