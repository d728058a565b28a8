// Real daemons and nodes of ours in one conversation, treated alike: who they are, when they agree, and whether their histories show the same.
import type { Daemon, SwarmMessage } from '../lib/daemon.ts'
import { head } from '../lib/git.ts'
import { eventually, must, type Stage } from '../lib/scenario.ts'
import { Sdk, type SdkView } from '../lib/sdk.ts'

export type Side = Daemon | Sdk

export const isSdk = (side: Side): side is Sdk => side instanceof Sdk

export const headOf = async (side: Side, conversation: string): Promise<string> => (isSdk(side) ? side.head(conversation).catch(() => '') : head(side.repository(conversation)))

/** Waits until all have the same head, and gives it. */
export async function oneHead(sides: readonly Side[], conversation: string, timeoutMs = 45_000): Promise<string> {
  let heads: string[] = []
  return eventually('one head', async () => {
    heads = await Promise.all(sides.map((side) => headOf(side, conversation)))
    return heads[0] !== '' && heads.every((one) => one === heads[0]) && heads[0]
  }, timeoutMs).catch((error: unknown) => {
    throw new Error(`heads differ: ${sides.map((side, i) => `${side.label} ${(heads[i] ?? '').slice(0, 10)}`).join(', ')}`, { cause: error })
  })
}

/** Says something and gives the message's id, as this side knows it. */
export async function say(side: Side, conversation: string, text: string): Promise<string> {
  if (isSdk(side)) return side.send(conversation, text)
  await side.send(conversation, text)
  return (await side.message(conversation, text)).id
}

export const hears = (side: Side, conversation: string, text: string, timeoutMs = 30_000): Promise<unknown> => side.heard(conversation, text, { timeoutMs })

/** Does it, and waits until that side's own history has it: a daemon commits on another thread. */
export async function changed(side: Side, conversation: string, deed: () => Promise<unknown>): Promise<void> {
  const before = await headOf(side, conversation)
  await deed()
  await eventually(`a commit of ${side.label}`, async () => (await headOf(side, conversation)) !== before)
}

/** `one` asks, `other` accepts; both have joined their 1:1. */
export async function befriend(one: Side, other: Side): Promise<string> {
  const conversation = isSdk(one) ? await one.addContact(other.uri) : await one.sendRequest(other.uri, one.label)
  await other.request(one.uri, { timeoutMs: 60_000 })
  await other.accept(one.uri)
  await Promise.all([other.ready(conversation, { timeoutMs: 60_000 }), one.joined(conversation, other.uri, { timeoutMs: 60_000 })])
  return conversation
}

/** `admin` invites; the invited one accepts and joins; `admin` has seen it. */
export async function bringIn(admin: Side, guest: Side, conversation: string): Promise<void> {
  const [since, joined] = [guest.mark(), admin.mark()]
  await admin.invite(conversation, guest.uri)
  await guest.invited(conversation, { since, timeoutMs: 30_000 })
  await guest.acceptInvitation(conversation)
  await guest.ready(conversation, { since, timeoutMs: 60_000 })
  await hasRole([admin], conversation, guest.uri, 'member')
  await admin.joined(conversation, guest.uri, { since: joined, timeoutMs: 30_000 })
}

/** Waits until each side lists the account with that role; `undefined` for one that is no member (any more). */
export async function hasRole(sides: readonly Side[], conversation: string, uri: string, role: string | undefined, timeoutMs = 30_000): Promise<void> {
  let seen: (string | undefined)[] = []
  await eventually(`${role} everywhere`, async () => {
    seen = await Promise.all(sides.map(async (side) => (await side.members(conversation).catch(() => [])).find((member) => member.uri === uri)?.role))
    return seen.every((one) => (one === 'left' ? undefined : one) === role)
  }, timeoutMs).catch((error: unknown) => {
    throw new Error(`role of ${uri.slice(0, 8)}, wanted ${role}: ${sides.map((side, i) => `${side.label} ${seen[i]}`).join(', ')}`, { cause: error })
  })
}

/** A message as people see it, in words that both have. */
export interface Shown {
  readonly id: string
  readonly timeS: number
  readonly lines: string
}

const LEFT_OUT: ReadonlySet<string> = new Set(['author', 'id', 'linearizedParent', 'parents', 'timestamp', 'type', 'fileId'])

function shown(id: string, timeS: number, type: string, author: string, body: Readonly<Record<string, string>>, editions: readonly { id?: string; body?: string }[], reactions: readonly { id?: string; author?: string; body?: string }[]): Shown {
  const fields = Object.entries(body).filter(([name]) => !LEFT_OUT.has(name)).map(([name, value]) => `${name}=${value}`).sort()
  const parts = [type, author, ...fields, ...editions.map((edition) => `was ${edition.id} ${edition.body ?? ''}`), ...reactions.map((r) => `reaction ${r.id} ${r.author} ${r.body}`).sort()]
  return { id, timeS, lines: parts.join('\n') }
}

const ofDaemon = ({ id, type, body, editions, reactions }: SwarmMessage): Shown => shown(id, Number(body.timestamp), type, body.author ?? '', body, editions, reactions)
const ofSdk = ({ id, type, timeS, from, fields, editions, reactions }: SdkView): Shown => shown(id, timeS, type, from, fields, editions, reactions)

/** Votes are left out: the daemon lists them, and clients show none. */
export async function history(side: Side, conversation: string): Promise<Shown[]> {
  return isSdk(side) ? (await side.views(conversation)).map(ofSdk) : (await side.load(conversation)).filter(({ type }) => type !== 'vote').map(ofDaemon)
}

/** The same messages with the same fields; in the same order, but for those of one second, whose order is nobody's. A 1:1 made in the second of another one begins a second later. */
export async function sameHistory(sides: readonly Side[], conversation: string): Promise<number> {
  const all = await Promise.all(sides.map(async (side) => ({ side, messages: await history(side, conversation) })))
  const sorted = (messages: readonly Shown[]) => messages.map((message, i) => ({ ...message, i })).sort((a, b) => b.timeS - a.timeS || (a.id < b.id ? -1 : 1))
  const [first, ...others] = all
  must(first !== undefined, 'nobody')
  for (const { side, messages } of all) for (const [i, message] of messages.entries()) must(i === 0 || message.timeS <= (messages[i - 1]?.timeS ?? 0) + 1, `${side.label}: message ${message.id} is not in the order of time`)
  const wanted = sorted(first.messages)
  for (const { side, messages } of others) {
    const got = sorted(messages)
    for (let i = 0; i < Math.max(wanted.length, got.length); i++) {
      const [a, b] = [wanted[i], got[i]]
      must(a !== undefined && b !== undefined && a.id === b.id && a.lines === b.lines,
        `message ${i} of ${wanted.length} and ${got.length}:\n${first.side.label}: ${a?.id} ${a?.timeS}\n${a?.lines}\n${side.label}: ${b?.id} ${b?.timeS}\n${b?.lines}`)
    }
  }
  return wanted.length
}

/** A daemon and two nodes of ours that are contacts of each other, in a group that Kim made. */
export async function trio(stage: Stage): Promise<{ bootstrap: string; dana: Daemon; kim: Sdk; kai: Sdk; conversation: string }> {
  const { bootstrap, daemons: { dana }, nodes: { kim, kai } } = await stage.step('a DHT, a daemon and two of our nodes are up', () => cast(stage, ['dana'], ['kim', 'kai']))
  const conversation = await stage.step('they are contacts, and members of a group of Kim', async () => {
    await Promise.all([befriend(kim, dana), befriend(kai, kim)])
    await befriend(dana, kai)
    const id = await kim.startGroup({ title: 'Three' })
    for (const guest of [dana, kai]) await bringIn(kim, guest, id)
    await oneHead([dana, kim, kai], id)
    return id
  }, { timeoutMs: 90_000 })
  return { bootstrap, dana, kim, kai, conversation }
}

/** Daemons and nodes by name, each in a host of its own from 2 on, announced on the DHT in host 1. */
export async function cast<D extends string, S extends string>(stage: Stage, daemons: readonly D[], nodes: readonly S[]): Promise<{ bootstrap: string; daemons: Record<D, Daemon>; nodes: Record<S, Sdk> }> {
  const bootstrap = await stage.bootstrapNode()
  const [made, ours] = await Promise.all([
    Promise.all(daemons.map(async (label, i) => {
      const daemon = await stage.daemon(label, 2 + i)
      await daemon.addAccount({ bootstrap, name: label })
      return [label, daemon] as const
    })),
    Promise.all(nodes.map(async (label, i) => [label, await stage.sdk(label, 2 + daemons.length + i, sdkStart(bootstrap, label))] as const)),
  ])
  return { bootstrap, daemons: Object.fromEntries(made) as Record<D, Daemon>, nodes: Object.fromEntries(ours) as Record<S, Sdk> }
}

/** Short keys: their making is not what is judged. */
export const sdkStart = (bootstrap: string, label: string) => ({ bootstrap: [bootstrap], account: 'main', displayName: label, keyBits: 2048 }) as const
