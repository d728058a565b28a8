// The links that are up, by device: which one new channels use, who is told when the first comes and the last goes.
// docs/protocol/02 §1.7, §6.1. Proof: manager/links.test.ts, manager/links-table.test.ts, manager/connection-manager.test.ts (contract suite).
import { JamiError, Source } from '@jamikit/core/base'
import type { AccessPolicy, AccountUri, DeviceId, LinkInfo, Logger, PeerIdentity } from '@jamikit/core/contracts'
import { MAX_LINKS_PER_ACCOUNT, MAX_LINKS_PER_DEVICE, MAX_LINKS_PER_MEMBER, MAX_MEMBER_LINKS } from '../defaults.ts'
import type { Link } from '../link/link.ts'
import { classOf } from './admission.ts'

export class Links {
  readonly #policy: AccessPolicy
  readonly #logger: Logger
  readonly #byDevice = new Map<DeviceId, Link[]>() // by id; bounded by MAX_LINKS_PER_DEVICE and MAX_LINKS_PER_ACCOUNT
  readonly #byAccount = new Map<AccountUri, Set<Link>>() // bounded by MAX_LINKS_PER_ACCOUNT and the contacts, MAX_MEMBER_LINKS
  readonly #members = new Set<Link>() // with members who were no contacts; bounded by MAX_MEMBER_LINKS and the new one
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
    const isMember = classOf(this.#policy, link.peer) === 'member'
    const spare =
      older.length >= MAX_LINKS_PER_DEVICE ? leastUsed(older)
      : others.size >= (isMember ? MAX_LINKS_PER_MEMBER : MAX_LINKS_PER_ACCOUNT) ? leastUsed([...others])
      : isMember && !this.#hasRoomForMember() ? this.#spareMember(link)
      : undefined
    if (isMember) this.#members.add(link)
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

  #hasRoomForMember(): boolean {
    if (this.#members.size < MAX_MEMBER_LINKS) return true
    for (const link of this.#members) if (classOf(this.#policy, link.peer) !== 'member') this.#members.delete(link) // is a contact by now
    return this.#members.size < MAX_MEMBER_LINKS
  }

  /** Who has most links gives one back; when each has one, the newcomer has to wait: links that are there are of use to somebody. */
  #spareMember(newcomer: Link): Link | undefined {
    const counts = new Map<AccountUri, Link[]>() // bounded by MAX_MEMBER_LINKS
    for (const link of this.#members) counts.set(link.peer.accountId, [...(counts.get(link.peer.accountId) ?? []), link])
    const own = counts.get(newcomer.peer.accountId)?.length ?? 0
    const most = [...counts.values()].reduce((a, b) => (b.length > a.length ? b : a))
    return most.length > own + 1 ? leastUsed(most) : newcomer
  }

  remove(link: Link, reason: Error): void {
    const { deviceId, accountId } = link.peer
    const known = this.#byDevice.get(deviceId)
    if (!known?.includes(link)) return
    const others = this.#byAccount.get(accountId)
    others?.delete(link)
    this.#members.delete(link)
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
