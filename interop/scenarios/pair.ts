// What several scenarios start from: a DHT, a daemon and one of our nodes that share a conversation, and how two histories
// are judged.
import { join } from 'node:path'
import type { Daemon } from '../lib/daemon.ts'
import { bodies, commits, fsck, head } from '../lib/git.ts'
import { eventually, must, type Stage } from '../lib/scenario.ts'
import type { Sdk, SdkStart } from '../lib/sdk.ts'

export interface Pair {
  readonly bootstrap: string
  readonly daemon: Daemon
  readonly sdk: Sdk
  readonly sdkStart: SdkStart
  readonly conversation: string
}

/** Host 1: bootstrap, host 2: the daemon, host 3: our node. Our side sends the request. */
export async function befriendedPair(stage: Stage): Promise<Pair> {
  const { bootstrap, daemon, sdk, sdkStart } = await stage.step('a daemon and our node announce their accounts on one DHT', () => strangers(stage))
  const conversation = await stage.step('our contact request is accepted by the daemon, which joins our conversation', async () => {
    const id = await sdk.addContact(daemon.uri)
    await daemon.request(sdk.uri)
    await daemon.accept(sdk.uri)
    await Promise.all([daemon.ready(id), sdk.joined(id, daemon.uri)])
    return id
  })
  return { bootstrap, daemon, sdk, sdkStart, conversation }
}

export async function strangers(stage: Stage): Promise<Omit<Pair, 'conversation'>> {
  const bootstrap = await stage.bootstrapNode()
  const sdkStart: SdkStart = { bootstrap: [bootstrap], account: 'main', displayName: 'Kit' }
  const [daemon, sdk] = await Promise.all([
    stage.daemon('daemon', 2).then(async (peer) => {
      await peer.addAccount({ bootstrap, name: 'Dana' })
      return peer
    }),
    stage.sdk('sdk', 3, sdkStart),
  ])
  return { bootstrap, daemon, sdk, sdkStart }
}

/** Waits until both repositories hold these texts exactly as often as wanted and have the same head. */
export async function bothHave(daemon: Daemon, sdk: Sdk, conversation: string, wanted: readonly string[], timeoutMs = 45_000): Promise<void> {
  let last = ''
  const state = { daemon: '', ours: '' }
  await eventually(
    `both repositories with ${wanted.length} texts and one head`,
    async () => {
      state.daemon = head(daemon.repository(conversation))
      state.ours = await sdk.head(conversation)
      if (state.daemon === '' || state.daemon !== state.ours || state.ours === last) return false
      last = state.ours // git is asked once per common head
      return missing(daemon.repository(conversation), wanted).length === 0
    },
    timeoutMs,
  ).catch(async (error: unknown) => {
    const copy = await sdk.export(conversation, `missing-${Date.now()}`)
    const lost = [daemon.repository(conversation), copy].map((repository) => missing(repository, wanted).length)
    throw new Error(`heads: daemon ${state.daemon.slice(0, 10)}, ours ${state.ours.slice(0, 10)}; texts missing: daemon ${lost[0]}, ours ${lost[1]}`, { cause: error })
  })
}

export function missing(repository: string, wanted: readonly string[]): string[] {
  const have = new Map<string, number>()
  for (const body of bodies(repository)) have.set(body, (have.get(body) ?? 0) + 1)
  return wanted.filter((text) => {
    const left = have.get(text) ?? 0
    have.set(text, left - 1)
    return left <= 0
  })
}

/** The same commits on both sides, and what we export perfect in git's eyes. */
export async function judge(daemon: Daemon, sdk: Sdk, conversation: string): Promise<void> {
  const theirs = commits(daemon.repository(conversation))
  const copy = await sdk.export(conversation, `judged-${theirs.length}-${Date.now()}`)
  must(theirs.length > 0 && theirs.join() === commits(copy).join(), `the daemon has ${theirs.length} commits, we have ${commits(copy).length}`)
  fsck(copy)
  must(head(copy) === (await sdk.head(conversation)), 'the exported repository has another head')
  fsck(join(daemon.repository(conversation)))
}

/** Our node is stopped: the conversation in its profile is an ordinary git repository, perfect and whole. */
export function judgeStopped(daemon: Daemon, sdk: Sdk, conversation: string): void {
  const own = sdk.repository(conversation)
  fsck(own)
  must(head(own) === head(daemon.repository(conversation)), 'the repository of the stopped node has another head')
}
