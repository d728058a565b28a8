// Programs that are wrong do not compile: what a kind of message cannot do, what is misspelt, what is of another type. Each with the right
// program beside it, so that nothing is refused by accident.
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const PRELUDE = "import type { Account, Conversation, Message } from 'jamikit'\nexport async function program(account: Account, chat: Conversation, message: Message): Promise<void> {\n"
/** What is wrong, the wrong program, the right one. */
const programs: [string, string, string][] = [
  ['only texts are edited', "await message.edit('x')", "if (message.type === 'text') await message.edit('x')"],
  ['only texts have a text', 'console.log(message.text)', "if (message.type === 'text') console.log(message.text)"],
  ['kinds of messages are not misspelt', "if (message.type === 'texts') return", "if (message.type === 'text') return"],
  ['events are not misspelt', "account.on('message:edit', () => {})", "account.on('message:edited', () => {})"],
  ['an event has its own fields', "account.on('reaction', ({ text }) => console.log(text))", "account.on('reaction', ({ emoji }) => console.log(emoji))"],
  ['times are dates', "for await (const found of chat.search({ after: '2026-01-01' })) console.log(found)", "for await (const found of chat.search({ after: new Date('2026-01-01') })) console.log(found)"],
  ['members are peers', 'await account.conversations.create({ members: [7] })', "await account.conversations.create({ members: ['7'] })"],
  ['a snapshot is read only', "message.reactions.set('x', [])", "message.reactions.get('x')"],
]

it('eight wrong programs do not compile, eight right ones do', () => {
  const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile).config, ts.sys, root)
  const files = new Map(programs.flatMap(([, wrong, right], i) => [[`${root}packages/jamikit/test/wrong-${i}.ts`, wrong], [`${root}packages/jamikit/test/right-${i}.ts`, right]].map(([name, body]) => [name as string, `${PRELUDE}${body}\nvoid [account, chat, message]\n}\n`])))
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (name) => files.has(name) || fileExists.call(host, name)
  host.readFile = (name) => files.get(name) ?? readFile.call(host, name)
  host.getSourceFile = (name, language, ...rest) => {
    const text = files.get(name)
    return text === undefined ? getSourceFile.call(host, name, language, ...rest) : ts.createSourceFile(name, text, language)
  }
  const program = ts.createProgram([...files.keys()], options, host)
  const refused = (name: string) => program.getSemanticDiagnostics(program.getSourceFile(`${root}packages/jamikit/test/${name}.ts`)).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
  for (const [i, [what]] of programs.entries()) {
    expect(refused(`right-${i}`), what).toEqual([])
    expect(refused(`wrong-${i}`).length, what).toBeGreaterThan(0)
  }
})
