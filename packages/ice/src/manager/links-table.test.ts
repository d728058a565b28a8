// Bounds of the table of links, with links that only have what the table looks at.
import { silentLogger } from '@jamikit/core/base'
import type { AccountUri, DeviceId, PeerIdentity } from '@jamikit/core/contracts'
import { describe, expect, it } from 'vitest'
import { MAX_LINKS_PER_ACCOUNT, MAX_LINKS_PER_DEVICE, MAX_LINKS_PER_MEMBER, MAX_MEMBER_LINKS } from '../defaults.ts'
import type { Link } from '../link/link.ts'
import { Links } from './links.ts'

/** @param members accounts that are no contacts */
function table(members: (account: string) => boolean = () => false) {
  const links = new Links({ allowsLink: () => true, classOf: ({ accountId }) => (members(accountId) ? 'member' : 'contact') }, silentLogger)
  const told: string[] = []
  links.onLink(({ peer, up }) => told.push(`${up ? 'up' : 'down'} ${peer.deviceId}`))
  let made = 0
  const add = (account: string, device: string, channels = 0) => {
    const link = {
      id: 1000 - ++made, peer: { accountId: account as AccountUri, deviceId: device as DeviceId } as PeerIdentity, channels, isOpen: true, openedAtMs: made,
      path: { kind: 'host', remote: '10.0.0.1:1' }, bytesIn: 0, bytesOut: 0, probed: 0, start() {}, probe() { link.probed++ },
      close: async (reason: Error) => {
        link.isOpen = false
        links.remove(link as unknown as Link, reason)
      },
    }
    links.add(link as unknown as Link, () => {})
    return link
  }
  return { links, told, add }
}

describe('links', () => {
  it('a device has so many, an account with any number of devices has so many, and neither costs another account one', () => {
    const t = table()
    t.add('honest', 'h', 0)
    const busy = t.add('greedy', 'busy', 3)
    for (let d = 0; d < 200; d++) t.add('greedy', `d${d}`)
    expect([t.links.of('greedy' as AccountUri).length, t.links.of('honest' as AccountUri).length, busy.isOpen, t.links.open('d199' as DeviceId).length]).toEqual([MAX_LINKS_PER_ACCOUNT, 1, true, 1])
    for (let i = 0; i < 20; i++) t.add('honest', 'h')
    expect([t.links.of('h' as DeviceId).length, t.links.all().length]).toEqual([MAX_LINKS_PER_DEVICE, MAX_LINKS_PER_ACCOUNT + MAX_LINKS_PER_DEVICE])
  })

  it('members who are no contacts have a share of their own: one of them so many, all of them so many, and contacts any number', () => {
    const friends = new Set<string>()
    const t = table((account) => account.startsWith('member') && !friends.has(account))
    for (let d = 0; d < 50; d++) t.add('member greedy', `g${d}`)
    expect(t.links.of('member greedy' as AccountUri)).toHaveLength(MAX_LINKS_PER_MEMBER)
    for (let a = 0; a < 2 * MAX_MEMBER_LINKS; a++) t.add(`member ${a}`, `m${a}`)
    expect(t.links.all()).toHaveLength(MAX_MEMBER_LINKS)
    expect(t.links.of('member greedy' as AccountUri)).toHaveLength(1) // gave back what others needed
    expect([t.links.of('member 0' as AccountUri).length, t.links.of(`member ${2 * MAX_MEMBER_LINKS - 1}` as AccountUri).length]).toEqual([1, 0]) // who is there stays
    for (let a = 0; a < 300; a++) t.add(`contact ${a}`, `c${a}`)
    expect(t.links.all()).toHaveLength(MAX_MEMBER_LINKS + 300)
    friends.add('member 0') // a contact by now: its link counts there
    t.add('member late', 'late')
    expect(t.links.of('member late' as AccountUri)).toHaveLength(1)
  })

  it('new channels use the link with the lowest id; a new one probes the others', () => {
    const t = table()
    const [first, second] = [t.add('a', 'd'), t.add('a', 'd')]
    expect([t.links.open('d' as DeviceId)[0]?.id, first.probed, second.probed]).toEqual([second.id, 1, 0])
  })

  it('tells the first link of a device and the end of its last one, once', async () => {
    const t = table()
    const [first, second] = [t.add('a', 'd'), t.add('a', 'd')]
    await first.close(new Error('x'))
    await second.close(new Error('x'))
    await second.close(new Error('x'))
    expect([t.told, t.links.all(), t.links.of('a' as AccountUri)]).toEqual([['up d', 'down d'], [], []])
  })
})
