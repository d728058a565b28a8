// The links that are up, by device: which one new channels use, who is told when the first comes and the last goes.
// docs/protocol/02 §1.7, §6.1. Proof: manager/links.test.ts, manager/links-table.test.ts, manager/connection-manager.test.ts (contract suite).
import { JamiError, Source } from '@jamikit/core/base'
import type { AccessPolicy, AccountUri, DeviceId, LinkInfo, Logger, PeerIdentity } from '@jamikit/core/contracts'
import { MAX_LINKS_PER_ACCOUNT, MAX_LINKS_PER_DEVICE } from '../defaults.ts'
import type { Link } from '../link/link.ts'
import { classOf } from './admission.ts'

export class Links {
  readonly #policy: AccessPolicy
  readonly #logger: Logger
  readonly #byDevice = new Map<DeviceId, Link[]>() // by id; bounded by MAX_LINKS_PER_DEVICE and MAX_LINKS_PER_ACCOUNT
  readonly #byAccount = new Map<AccountUri, Set<Link>>() // bounded by MAX_LINKS_PER_ACCOUNT and the contacts
  readonly #changed: Source<{ peer: PeerIdentity; up: boolean }>

  constructor(policy: AccessPolicy, logger: Logger) {
    this.#policy = policy
    this.#logger = logger
    this.#changed = new Source((err) => logger.error({ err }, 'a listener threw'))
  }

  get onLink() {
    return this.#changed.listen
  }

  /** What new channels use: of several links the one with the lowest id, as the other side does. */
  open(device: DeviceId): Link[] {
    return (this.#byDevice.get(device) ?? []).filter((link) => link.isOpen)
  }

  all(): Link[] {
    return [...this.#byDevice.values()].flat()
  }

  of(peer: DeviceId | AccountUri): Link[] {
    return [...(this.#byDevice.get(peer as DeviceId) ?? this.#byAccount.get(peer as AccountUri) ?? [])]
  }

  infos(): LinkInfo[] {
    return this.all().map(({ id, peer, path, channels, bytesIn, bytesOut, openedAtMs }) =>
      ({ id: String(id), peer, class: classOf(this.#policy, peer), path, channels, bytesIn, bytesOut, openedAtMs }))
  }

  /** @param taken runs before listeners are told */
  add(link: Link, taken: () => void): void {
    const { deviceId, accountId } = link.peer
    const older = this.#byDevice.get(deviceId) ?? []
    const others = this.#byAccount.get(accountId) ?? new Set()
    const spare = older.length >= MAX_LINKS_PER_DEVICE ? leastUsed(older) : others.size >= MAX_LINKS_PER_ACCOUNT ? leastUsed([...others]) : undefined
    this.#byAccount.set(accountId, others.add(link))
    for (const other of older) other.probe()
    const links = [...older, link].sort((a, b) => a.id - b.id)
    this.#byDevice.set(deviceId, links)
    this.#logger.info({ device: deviceId, kind: link.path.kind }, 'link up')
    link.start()
    taken()
    if (older.length === 0) this.#changed.emit({ peer: link.peer, up: true })
    void spare?.close(new JamiError('ERR_LIMIT', 'too many links with one device or account'))
  }

  remove(link: Link, reason: Error): void {
    const { deviceId, accountId } = link.peer
    const known = this.#byDevice.get(deviceId)
    if (!known?.includes(link)) return
    const others = this.#byAccount.get(accountId)
    others?.delete(link)
    if (others?.size === 0) this.#byAccount.delete(accountId)
    this.#logger.info({ device: deviceId, reason: reason.message }, 'link down')
    const links = known.filter((other) => other !== link)
    if (links.length > 0) this.#byDevice.set(deviceId, links)
    else if (this.#byDevice.delete(deviceId)) this.#changed.emit({ peer: link.peer, up: false })
  }
}

/** The one with the fewest channels, of these the oldest. */
function leastUsed(links: readonly Link[]): Link | undefined {
  return [...links].sort((a, b) => a.channels - b.channels || a.openedAtMs - b.openedAtMs)[0]
}
