// A process that writes a history until it is killed: `tsx history-writer.ts <directory> <rounds>`; prints the number of each message when it
// is durable. Every seventh change is a pack of a peer, every fifth a merge. Used by sim/history-kill.sim.ts.
import { fileStorage } from '@jamikit/core'
import { Repository } from '../src/repo/repository.ts'
import { advance, type Made, make, options, received, unique } from './repositories.ts'
import { objectId } from '../src/repo/object.ts'

const [directory = '', salt = ''] = process.argv.slice(2)
const files = fileStorage(directory).files('c')
const more = options({ limits: { adoptBytes: 1 << 20, adoptObjects: 8, manyRows: 6, sealBytes: 1 << 20, sealObjects: 25 } })
const first = make(0, [])
const repository = (await Repository.open(files, more)) ?? (await Repository.create(files, advance([first]), more))
for (const problem of more.problems) throw problem

for (let n = repository.rows; ; ) {
  const next = (parents: readonly string[], mark = ''): Made => make(n++, parents, undefined, `${salt}${mark}`)
  let made: Made[]
  if (n % 7 === 0) for (made = [next([repository.head])]; made.length < 12; ) made.push(next([made.at(-1)?.commit.oid ?? '']))
  else if (n % 5 === 0) {
    const [ours, theirs] = [next([repository.head], 'a'), next([repository.head], 'b')]
    made = [ours, theirs, next([ours.commit.oid, theirs.commit.oid], 'merge')]
  } else made = [next([repository.head])]
  const objects = unique(made.flatMap((m) => m.objects))
  if (made.length > 3) {
    const pack = await received(objects, files)
    await repository.advance({ commits: made.map((m) => m.commit), pack: { received: pack, used: new Set(objects.map(objectId)) }, head: made.at(-1)?.commit.oid })
    await pack.discard()
  } else await repository.advance({ ...advance(made), objects })
  process.stdout.write(`${repository.length} ${repository.head}\n`)
}
