// The accounts of a node by label: what is kept is started, new ones are made or imported, one that cannot start costs itself.
// Proof: node/jami-node.test.ts.
import { LocalAccount } from '../account/account.ts'
import { type AccountRecord, type LoadedAccounts, removeAccount } from '../account/account-record.ts'
import { type Check, checkArgument, checkOptions, is, OP } from '../base/arguments.ts'
import { argumentError, closedError, JamiError, limitError, notFoundError } from '../base/errors.ts'
import { withOp } from '../base/operation.ts'
import { wellFormed } from '../codec/text.ts'
import type { Op } from '../contracts/service.ts'
import { createAccount, exportAccount, importAccount, verifyRecord } from './account-factory.ts'
import type { Account, AccountInit, Accounts } from './api.ts'
import { ACCOUNT_INIT, LABEL, MAX_ACCOUNTS, MAX_PASSWORD_LENGTH } from './limits.ts'
import type { NodeEnv } from './node-env.ts'
import { PublicAccount } from './public-account.ts'

const CREATE = { ...ACCOUNT_INIT, label: LABEL }
const IMPORT = { ...CREATE, archivePassword: is.text(0, MAX_PASSWORD_LENGTH) }
/** Whether it is one of this node is for `own` to say. */
export const ACCOUNT: Check = { allowed: 'an account of this node', test: (value) => value instanceof PublicAccount }

export class AccountRegistry implements Accounts {
  readonly #env: NodeEnv
  readonly #report: (error: unknown, source: string) => void
  readonly #accounts = new Map<string, PublicAccount>() // by label; bounded by MAX_ACCOUNTS
  readonly #opening = new Map<string, Promise<PublicAccount>>() // bounded by callers
  readonly #failed = new Map<string, () => Promise<PublicAccount>>() // kept but not started, by label: how to try again; bounded by the records
  #closed = false

  constructor(env: NodeEnv, report: (error: unknown, source: string) => void) {
    this.#env = env
    this.#report = report
  }

  /** Starts the accounts that are kept. One that cannot be read or started is reported; its label stays taken. */
  async load({ accounts, problems }: LoadedAccounts): Promise<void> {
    for (const { error, label, usable } of problems) {
      if (label !== undefined && !usable) this.#failed.set(label, () => Promise.reject(error))
      this.#report(error, label === undefined ? 'account' : `account ${label}`)
    }
    for (const record of accounts) {
      try {
        await this.#start(record)
      } catch (error) {
        this.#failed.set(record.label, () => this.#start(record))
        this.#report(error, `account ${record.label}`)
      }
    }
  }

  list(): PublicAccount[] {
    return [...this.#accounts.values()]
  }

  get(label: string): PublicAccount {
    checkArgument('label', label, LABEL)
    const account = this.#accounts.get(wellFormed(label))
    if (!account) throw notFoundError(`account ${JSON.stringify(label)}`)
    return account
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Account> {
    yield* this.list()
  }

  async create(options: AccountInit & { label?: string } = {}): Promise<PublicAccount> {
    checkOptions(options, CREATE)
    return this.#make(this.#freeLabel(options.label), options, true, (init) => createAccount(this.#env, init))
  }

  async open(label: string, options: AccountInit = {}): Promise<PublicAccount> {
    checkArgument('label', label, LABEL)
    checkOptions(options, ACCOUNT_INIT)
    return this.#make(label, options, false, (init) => createAccount(this.#env, init))
  }

  async import(archive: Uint8Array, options: { archivePassword?: string; label?: string } & AccountInit = {}): Promise<PublicAccount> {
    checkArgument('archive', archive, is.bytes)
    checkOptions(options, IMPORT)
    const { archivePassword } = options
    return this.#make(this.#freeLabel(options.label), options, true, (init) => importAccount(this.#env, archive, { ...init, ...(archivePassword === undefined ? {} : { archivePassword }) }))
  }

  async remove(account: Account, op?: Op): Promise<void> {
    const own = this.own(account)
    checkOptions(op, OP)
    return withOp(this.#env.clock, op, 'removing the account', async () => {
      this.#accounts.delete(own.label)
      await own.stop(0)
      await removeAccount(this.#env.storage, own.uri)
    })
  }

  /** @throws ERR_CLOSED when it is of another node or was removed, ERR_ARGUMENT for what is no account */
  own(account: Account): PublicAccount {
    checkArgument('account', account, ACCOUNT)
    for (const own of this.#accounts.values()) if (own === account) return own
    throw closedError('the account')
  }

  /** The one that is meant when none is named. @throws ERR_ARGUMENT */
  only(): PublicAccount {
    const [first, ...others] = this.#accounts.values()
    if (!first || others.length > 0) throw argumentError('account', 'none', `one of the node's ${this.#accounts.size} accounts`)
    return first
  }

  async stop(graceMs: number): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#opening.values())
    await Promise.all(this.list().map((account) => account.stop(graceMs)))
  }

  #freeLabel(label: string | undefined): string {
    const taken = (name: string) => this.#accounts.has(name) || this.#opening.has(name) || this.#failed.has(name)
    let number = this.#accounts.size + 1
    while (label === undefined && taken(`account-${number}`)) number++
    return label ?? `account-${number}`
  }

  #make(given: string, options: AccountInit, fresh: boolean, make: (init: { label: string; displayName: string; password?: string }) => Promise<AccountRecord>): Promise<PublicAccount> {
    const label = wellFormed(given)
    const { displayName, password, signal, timeoutMs } = options
    const name = displayName === undefined ? undefined : wellFormed(displayName)
    const op = { ...(signal ? { signal } : {}), ...(timeoutMs === undefined ? {} : { timeoutMs }) }
    return withOp(this.#env.clock, op, 'opening the account', async () => {
      const account = await this.#opened(label, fresh, () => make({ label, displayName: name ?? '', ...(password === undefined ? {} : { password }) }))
      if (!fresh && name !== undefined && name !== account.profile.displayName) await account.local.setDisplayName(name)
      return account
    })
  }

  async #opened(label: string, fresh: boolean, make: () => Promise<AccountRecord>): Promise<PublicAccount> {
    if (this.#closed) throw closedError('the node')
    const known = this.#accounts.get(label)
    if (known && !fresh) return known
    const failed = this.#failed.get(label)
    if (known || (failed && fresh)) throw argumentError('label', JSON.stringify(label), 'one that no account of this profile has')
    if (!failed && this.#accounts.size >= MAX_ACCOUNTS) throw limitError('accounts', this.#accounts.size + 1, MAX_ACCOUNTS)
    let opening = this.#opening.get(label)
    if (!opening) {
      const work = failed ?? (() => make().then((record) => this.#start(record)))
      opening = this.#env.clock.track(work()).finally(() => this.#opening.delete(label))
      opening.then(() => this.#failed.delete(label), () => {}) // whoever asked may have left
      this.#opening.set(label, opening)
    }
    return opening
  }

  async #start(record: AccountRecord): Promise<PublicAccount> {
    const env = this.#env
    if (this.#accounts.has(record.label)) throw new JamiError('ERR_STORAGE_CORRUPT', `label ${JSON.stringify(record.label)}: two accounts of the profile have it`, { details: { label: record.label } })
    const local = await LocalAccount.load(env, record, await verifyRecord(env, record))
    const account = new PublicAccount(
      {
        clock: env.clock,
        onError: this.#report,
        warn: env.warn,
        exportArchive: (of, options) => exportAccount(env, of.local.record, of.local.contacts, options),
      },
      local,
    )
    for (const problem of local.problems) this.#report(problem, `account ${record.label}`)
    local.onProblem(({ error, source }) => this.#report(error, source))
    local.conversations.onProblem(({ conversation, error }) => this.#report(error, `conversation ${conversation}`))
    try {
      await local.start()
    } catch (error) {
      await account.stop(0)
      throw error
    }
    this.#accounts.set(record.label, account)
    return account
  }
}
