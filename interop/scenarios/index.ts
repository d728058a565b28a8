// All scenarios, in the order in which they run.
import type { Scenario } from '../lib/scenario.ts'
import { archive } from './archive.ts'
import { ban } from './ban.ts'
import { crossing } from './crossing.ts'
import { dhtInterop } from './dht-interop.ts'
import { duplicate1to1 } from './duplicate-1to1.ts'
import { echoIn } from './echo-in.ts'
import { echoOut } from './echo-out.ts'
import { examples } from './examples.ts'
import { files } from './files.ts'
import { group } from './group.ts'
import { groupProfile } from './group-profile.ts'
import { lateJoin } from './late-join.ts'
import { malicious } from './malicious.ts'
import { mergeStorm } from './merge-storm.ts'
import { offlineCatchUp } from './offline-catch-up.ts'
import { offlineFirst } from './offline-first.ts'
import { rawChannel } from './raw-channel.ts'
import { rejoin } from './rejoin.ts'
import { restart } from './restart.ts'
import { status } from './status.ts'
import { stockGit } from './stock-git.ts'
import { stormScenario } from './storm.ts'
import { stranger } from './stranger.ts'

export const scenarios: readonly Scenario[] = [
  dhtInterop, echoIn, echoOut, crossing, restart, offlineFirst, stranger, rawChannel, archive, stockGit,
  group, status, groupProfile, offlineCatchUp, ban, rejoin, duplicate1to1, lateJoin, files, malicious, mergeStorm, stormScenario, examples,
]
