// Account archives travel both ways between the daemon and us, in the clear and with a password (docs/protocol/03 §3).
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually, must, rejection, type Scenario } from '../lib/scenario.ts'
import { strangers } from './pair.ts'

const PASSWORD = 'a pässword'

export const archive: Scenario = {
  name: 'archive',
  about: 'the daemon imports our account archive, we import that of the daemon; in the clear and with a password',
  hosts: 6,
  budgetMs: { ci: 180_000, full: 300_000 },
  needs: ['daemon', 'opendht'],
  async run(stage) {
    const { bootstrap, daemon, sdk } = await stage.step('a daemon and our node announce their accounts on one DHT', () => strangers(stage))
    const importer = async (label: string, host: number, password: string) => {
      const bytes = Buffer.from(String(await sdk.call('exportArchive', ...(password === '' ? [] : [password]))), 'base64')
      const other = await stage.daemon(label, host)
      const path = join(other.dir, 'ours.gz')
      writeFileSync(path, bytes)
      await other.importArchive({ bootstrap, name: 'Kit', path, password })
      must(other.uri === sdk.uri, `the daemon says ${other.uri}, we are ${sdk.uri}`)
      await other.stop()
    }
    await stage.step('ACC-21 a daemon becomes a device of our account from the archive that we exported', () => importer('importer', 4, ''), { timeoutMs: 90_000 })
    await stage.step('the same with a password on the archive', () => importer('importer-password', 5, PASSWORD), { timeoutMs: 90_000 })
    await stage.step('we become a device of the account of the daemon from its archive', async () => {
      const bytes = readFileSync(join(daemon.dir, 'data', 'jami', daemon.account, 'archive.gz'))
      const other = await stage.sdk('importing', 6, { bootstrap: [bootstrap] })
      const { uri } = (await other.call('importArchive', bytes.toString('base64'), '', 'imported')) as { uri: string }
      must(uri === daemon.uri, `we say ${uri}, the daemon is ${daemon.uri}`)
      await daemon.wait('KnownDevicesChanged', (args) => Object.keys((args[1] ?? {}) as object).length === 2, { timeoutMs: 30_000 })
      await other.stop()
    }, { timeoutMs: 90_000 })
    await stage.step('a device of ours of the account of a daemon, made of what it exported, finds the conversation, its history and what comes later', async () => {
      const conversation = await sdk.addContact(daemon.uri)
      await daemon.request(sdk.uri)
      await daemon.accept(sdk.uri)
      await Promise.all([daemon.ready(conversation), sdk.joined(conversation, daemon.uri)])
      await sdk.send(conversation, 'before the device came')
      await daemon.heard(conversation, 'before the device came')
      const file = join(daemon.dir, 'exported.gz')
      must((await daemon.call('exportToFile', daemon.account, file, '')) === true, 'the daemon exported nothing')
      const other = await stage.sdk('second-device', 6, { bootstrap: [bootstrap] })
      await other.call('importArchive', readFileSync(file).toString('base64'), '', 'second')
      await eventually('the history', async () => (await other.texts(conversation).catch((): string[] => [])).includes('before the device came'), 60_000)
      await sdk.send(conversation, 'for every device')
      await Promise.all([other.heard(conversation, 'for every device'), daemon.heard(conversation, 'for every device')])
      await other.send(conversation, 'from the new device')
      await Promise.all([sdk.heard(conversation, 'from the new device'), daemon.heard(conversation, 'from the new device')])
      await other.stop()
    }, { timeoutMs: 90_000 })
    await stage.step('an archive of ours with a password opens with it and gives ERR_PASSWORD with another one', async () => {
      const bytes = String(await sdk.call('exportArchive', PASSWORD))
      const other = await stage.sdk('importing-password', 6, { bootstrap: [bootstrap] })
      const refused = await rejection(other.call('importArchive', bytes, 'another one', 'imported'))
      must(refused.code === 'ERR_PASSWORD', `code ${refused.code}: ${refused.message}`)
      const { uri } = (await other.call('importArchive', bytes, PASSWORD, 'imported')) as { uri: string }
      must(uri === sdk.uri, 'another account')
      await other.stop()
    }, { timeoutMs: 90_000 })
  },
}
