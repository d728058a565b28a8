// The serving side of git sessions: any number on one channel, until the peer ends it. docs/protocol/04 §4.3.
// Proof: sync/session.test.ts (captured exchanges, every split point), interop.
import { concatBytes } from '@jamikit/core/codec'
import { JamiError, limitError } from '@jamikit/core/base'
import { MAX_PEER_HAVES } from '../defaults.ts'
import { decodeTree, type GitObject, type Oid, TREE_MODE } from '../repo/object.ts'
import type { Repository } from '../repo/repository.ts'
import type { GitStream } from './git-stream.ts'
import { encodePack } from './pack.ts'
import { bandPackets, FLUSH, pkt, pktText } from './pkt-line.ts'

const CAPABILITIES = 'side-band side-band-64k shallow no-progress include-tag'
const WRITE_BYTES = 65_000

/**
 * @param onFetched the peer now has this commit and all before it
 * @param onAhead the peer told of commits that we do not have: it will merge, and merges are announced by nobody
 * @throws ERR_CODEC, ERR_LIMIT, ERR_LINK_LOST
 */
export async function serve(stream: GitStream, repository: () => Repository, options: { onFetched: (head: Oid) => void; onAhead: () => void; signal: AbortSignal }): Promise<void> {
  const { channel } = stream
  let advertised: Oid | undefined
  let want: Oid | undefined
  let haves: Oid[] = []
  for (;;) {
    const item = await stream.next({ patient: true, signal: options.signal })
    if (item === undefined) return
    if (item === 'flush') {
      const common = haves.find((oid) => repository().has(oid))
      if (want && haves.length > 0) await channel.write(concatBytes(...(common ? [pkt(`ACK ${common} continue\n`)] : []), pkt('NAK\n')))
      else if (!want && advertised) {
        options.onFetched(advertised) // a bare flush: the peer is up to date
        advertised = undefined
      }
      continue
    }
    const line = pktText(item)
    if (line.startsWith('git-upload-pack ')) {
      advertised = repository().head
      want = undefined
      haves = []
      const version = /\0version=(\d)\0/.exec(line)?.[1]
      await channel.write(concatBytes(
        ...(version === '1' ? [pkt('version 1\0')] : []),
        pkt(`${advertised} HEAD\0${CAPABILITIES}\n`), pkt(`${advertised} refs/heads/main\n`), FLUSH,
      ))
    } else if (/^want [0-9a-f]{40}/.test(line)) want = line.slice(5, 45)
    else if (/^have [0-9a-f]{40}$/.test(line)) {
      if (haves.length >= MAX_PEER_HAVES) throw limitError('haves', haves.length + 1, MAX_PEER_HAVES)
      haves.push(line.slice(5))
    } else if (line === 'done' && want) {
      const repo = repository()
      if (!repo.has(want)) throw new JamiError('ERR_REPO_INVALID', `the peer wants ${want}, which we do not have`)
      const owned = haves.filter((oid) => repo.has(oid))
      await channel.write(pkt(owned[0] ? `ACK ${owned[0]}\n` : 'NAK\n'))
      await sendPack(stream, encodePack(await objectsFor(repo, want, owned)))
      options.onFetched(want)
      if (owned.length < haves.length) options.onAhead()
      want = undefined
      advertised = undefined
      haves = []
    }
  }
}

async function sendPack(stream: GitStream, pack: Uint8Array): Promise<void> {
  let held: Uint8Array[] = []
  let size = 0
  for (const packet of [...bandPackets(pack), FLUSH]) {
    if (size + packet.length > WRITE_BYTES && held.length > 0) {
      await stream.channel.write(concatBytes(...held))
      held = []
      size = 0
    }
    held.push(packet)
    size += packet.length
  }
  await stream.channel.write(concatBytes(...held))
}

/** Commits reachable from `want` and not from what the peer owns, with the trees and blobs that are new in them. */
export async function objectsFor(repo: Repository, want: Oid, owned: readonly Oid[]): Promise<GitObject[]> {
  const theirs = repo.reachable(owned)
  const commits = repo.linear(repo.reachable([want], theirs))
  const known = new Set<Oid>()
  const out: GitObject[] = []
  const walk = async (tree: Oid, emit: boolean): Promise<void> => {
    if (known.has(tree)) return
    known.add(tree)
    const object = await repo.read(tree)
    if (!object) throw new JamiError('ERR_STORAGE_CORRUPT', `tree ${tree} is missing`)
    if (emit) out.push(object)
    for (const entry of decodeTree(object.data)) {
      if (entry.mode === TREE_MODE) await walk(entry.oid, emit)
      else if (!known.has(entry.oid)) {
        known.add(entry.oid)
        const blob = emit ? await repo.read(entry.oid) : undefined
        if (blob) out.push(blob)
      }
    }
  }
  for (const oid of owned) await walk(repo.commit(oid)?.tree ?? '', false)
  for (const oid of commits) {
    const object = await repo.read(oid)
    const commit = repo.commit(oid)
    if (!object || !commit) throw new JamiError('ERR_STORAGE_CORRUPT', `commit ${oid} is missing`)
    out.push(object)
    for (const parent of commit.parents) {
      const before = theirs.has(parent) ? repo.commit(parent) : undefined
      if (before) await walk(before.tree, false)
    }
    await walk(commit.tree, true)
  }
  return out
}
